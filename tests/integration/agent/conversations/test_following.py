"""What a run is told is fixed when it begins, whatever happens meanwhile; and who takes part can follow it."""

import re
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async

from appliance.agent.conversations.models import AgentMessage, AgentNote
from appliance.alerts.follower import AlertFollower
from appliance.events.models import EventRow
from appliance.events.services import latest
from appliance.inference.errors import ModelUnavailable
from appliance.lib.clock import ManualClock
from appliance.lib.config import get_config
from appliance.processes.housekeeping import Housekeeping
from tests.integration.agent.conversations.conftest import Talk
from tests.scripted_model import end, turn
from webadmin.visible import visible_to

LOOK = ("readings.last", {"topic": "plant/"})


def without_boundaries(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{12}\b", "B", text)


async def test_a_turn_that_is_asked_again_is_told_the_same(talk: Talk) -> None:
    """Between the two somebody writes, a note is accepted, and a new conversation is begun."""
    script = talk.says(end("82 °C."), ModelUnavailable("it fell over"), end("Yes."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    await talk.tell("and would you say that this is too much?")
    await talk.work()
    assert len(script.asked) == 2
    await talk.tell("tell me about the weather over there, too")
    await talk.tell("remember that I like it short")
    await talk.tell("new conversation")
    for row in await talk.sql("SELECT id FROM runs_run WHERE split_id IS NOT NULL AND state = 'waiting'"):
        await talk.pass_time(row["id"], timedelta(seconds=30))
        await talk.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", row["id"])
        await talk.perform(row["id"])
    assert without_boundaries(script.told(2)) == without_boundaries(script.told(1))


async def journal() -> list[tuple[str, dict[str, Any]]]:
    rows = EventRow.objects.order_by("seq")
    found = [(row.type, row.data) async for row in rows]
    return [(kind, data) for kind, data in found if kind.startswith(("conversation.", "agent."))]


async def test_those_who_take_part_can_follow_each_step(talk: Talk) -> None:
    talk.says(turn(LOOK), end("82 °C."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    told = await journal()
    assert [kind for kind, _ in told] == [
        "conversation.said",
        "agent.turn_began",
        "agent.call_proposed",
        "agent.turn_ended",
        "agent.call_ended",
        "agent.turn_began",
        "agent.turn_ended",
        "conversation.said",
    ]
    run_id = str((await talk.newest_run())["id"])
    assert {data["run_id"] for _, data in told} == {run_id}
    assert {tuple(data["people"]) for _, data in told} == {("anna",)}
    assert told[4][1]["fate"] == "done"
    assert [data["done"] for kind, data in told if kind == "agent.turn_ended"] == [False, True]
    assert told[-1][1]["text"] == "82 °C."


async def test_nobody_else_is_told(talk: Talk) -> None:
    talk.says(end("82 °C."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    types = ["conversation.said", "agent.turn_began"]
    entries = await sync_to_async(latest)(types, within=timedelta(days=1))
    assert len(entries) == 3
    assert len(visible_to("anna", entries)) == 3
    assert visible_to("bert", entries) == []


async def test_what_was_said_is_deleted_after_its_time_and_instructions_stay(talk: Talk) -> None:
    await talk.tell("remember that I like it short")
    talk.says(end("82 °C."))
    await talk.tell("how hot would you say it is over there?")
    await talk.work()
    clock = ManualClock(talk.clock.now() + timedelta(days=89))
    follower = AlertFollower(talk.pool, clock, lambda: None)
    keeping = Housekeeping(talk.pool, clock, get_config(), follower)
    await keeping._forget_old()
    assert await AgentMessage.objects.acount() == 2
    clock.advance(timedelta(days=2))
    await keeping._forget_old()
    assert await AgentMessage.objects.acount() == 0
    assert await AgentNote.objects.acount() == 1
