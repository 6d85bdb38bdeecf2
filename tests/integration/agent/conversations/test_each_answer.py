"""However many agents of a run answer, and wherever in it they stand: each answer is told once where it was asked."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.agent.conversations.before import Asked, asked_in
from appliance.inference.asking import Question
from appliance.inference.errors import ModelRefused
from appliance.lib.clock import ManualClock
from appliance.runs import ended, own_rows
from appliance.runs.ended import Resume
from appliance.runs.shards.keeper import ShardKeeper
from tests.integration.agent.conversations.conftest import ALLOW, NOTHING_CHANGED, Talk
from tests.integration.agent.conversations.test_following import journal
from tests.integration.agent.conversations.test_saying_no import waits
from tests.integration.agent.loop.test_crashes import deaths
from tests.scripted_model import end, turn

__all__ = ["deaths"]

HEAD = """
- name: hands
  trigger: {chat: {otherwise: true, platform: telegram}}
  actions:
"""
AGENT = "{id: %s, type: agent, conversation: true, goal: '{{ payload.text }}', tools: [%s]}"
TWO = f"{HEAD}    - {AGENT % ('a', '')}\n    - {AGENT % ('b', '')}\n"
NESTED = f"""{HEAD}    - id: both
      type: parallel
      branches:
        left: [{AGENT % ("a", "mqtt")}]
        right: [{AGENT % ("b", "mqtt")}]
"""
ASK = "how hot would you say it is over there?"
STOP = ("mqtt", {"topic": "plant/pump/3/set", "payload": "off"})


async def work(talk: Talk) -> None:
    """Also what is split inside of what is split."""
    for _ in range(6):
        await talk.sql(
            "UPDATE runs_run SET lease_until = now() - interval '1 second' WHERE state = 'running'"
        )
        await talk.reconciler.recover()
        rows = await talk.sql("SELECT id FROM runs_run WHERE state = 'queued' ORDER BY id")
        for row in rows:
            await talk.perform(row["id"])
        await ShardKeeper(talk.pool).look()


async def told(talk: Talk) -> list[str]:
    """Twice looked at: nothing is told a second time. Without the box's own line behind each answer."""
    await talk.delivered()
    return [str(message["text"]).removesuffix(NOTHING_CHANGED) for _, _, message in await talk.delivered()]


async def test_two_agents_of_one_task_are_both_heard(talk: Talk) -> None:
    await talk.load(TWO)
    talk.says(end("82 °C."), end("Too hot."))
    await talk.tell(ASK)
    await work(talk)
    assert (await talk.newest_run())["state"] == "succeeded"
    assert await told(talk) == ["82 °C.", "Too hot."]
    assert [text for _, _, text in await talk.kept()] == [ASK, "82 °C.", "Too hot."]


async def test_an_answer_is_told_while_the_run_goes_on(talk: Talk) -> None:
    later = "    - {id: later, type: wait, duration: 1h}\n"
    await talk.load(f"{HEAD}    - {AGENT % ('a', '')}\n{later}")
    talk.says(end("82 °C."))
    await talk.tell(ASK)
    await work(talk)
    assert (await talk.newest_run())["state"] == "waiting"
    assert await told(talk) == ["82 °C."]


class Running(ManualClock):
    """Time goes by between two looks at it."""

    def now(self) -> datetime:
        self.advance(timedelta(milliseconds=7))
        return super().now()


@pytest.mark.parametrize("fails", [False, True])
async def test_an_answer_that_is_forgotten_while_its_run_goes_on_is_told_no_second_time(
    talk: Talk, fails: bool
) -> None:
    talk.clock = Running(talk.clock.now())
    last = "    - {id: bad, type: set, value: '{{ 1 / 0 }}'}\n" if fails else ""
    later = f"    - {{id: later, type: wait, duration: 1h}}\n{last}"
    await talk.load(f"{HEAD}    - {AGENT % ('a', '')}\n{later}")
    talk.says(end("82 °C."))
    await talk.tell(ASK)
    await work(talk)
    assert await told(talk) == ["82 °C."]
    await talk.tell("forget the conversation")
    run = await talk.newest_run()
    await talk.pass_time(run["id"], timedelta(hours=2))
    await talk.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", run["id"])
    await work(talk)
    assert (await talk.newest_run())["state"] == ("failed" if fails else "succeeded")
    answer, *rest = await told(talk)
    assert answer == "82 °C."
    assert [one.partition(": run")[0] for one in rest] == (["hands failed"] if fails else [])


async def test_agents_inside_of_other_steps_are_heard_and_so_is_what_they_wait_for(talk: Talk) -> None:
    await talk.policy(ALLOW)
    await talk.load(NESTED)
    talk.says(turn(STOP), turn(STOP), end("Left."), end("Right."))
    await talk.tell(ASK)
    await work(talk)
    for _ in range(2):
        await talk.delivered()
    assert len(await waits(talk)) == 2, "each of the two is told of"
    await talk.sql("UPDATE safety_approval SET state = 'denied'")
    await talk.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE waiting_for = 'approval'")
    await work(talk)
    assert (await talk.newest_run())["state"] == "succeeded"
    said = await told(talk)
    assert sorted(one.partition(".")[0] for one in said) == ["Left", "Right"]


async def test_what_fails_after_an_answer_is_told_beside_it(talk: Talk) -> None:
    await talk.load(TWO)
    talk.says(end("82 °C."), ModelRefused("the model is not what it was"))
    await talk.tell(ASK)
    await work(talk)
    first, second = await told(talk)
    assert first == "82 °C."
    assert second.startswith("hands failed: run ")
    assert [speaker for speaker, _, _ in await talk.kept()] == ["person", "agent", "box"]


async def anna(talk: Talk, old: UUID) -> UUID:
    by = await sync_to_async(lambda: User.objects.get(username="anna").principal)()
    return await sync_to_async(ended.resume)(old, by, Resume())


async def test_a_run_that_its_person_resumes_answers_where_it_was_asked(talk: Talk) -> None:
    await talk.load(TWO)
    talk.says(end("82 °C."), ModelRefused("the model is not what it was"), end("Too hot."))
    await talk.tell(ASK)
    await work(talk)
    old = (await talk.newest_run())["id"]
    assert len(await told(talk)) == 2
    await anna(talk, old)
    await work(talk)
    assert (await told(talk))[2:] == ["Too hot."]
    assert [text for speaker, _, text in await talk.kept() if speaker == "agent"] == ["82 °C.", "Too hot."]


@pytest.mark.parametrize("time", [1, 2, 3])
async def test_a_crash_around_the_answer_leaves_one(talk: Talk, deaths: dict[str, int], time: int) -> None:
    await talk.load(f"{HEAD}    - {AGENT % ('a', '')}\n")
    talk.says(*[end("82 °C.")] * 3)
    await talk.tell(ASK)
    deaths["worker.after_effect"] = time  # the step that is split, the turn, the answer
    await work(talk)
    assert not deaths
    assert await told(talk) == ["82 °C."]
    assert [text for speaker, _, text in await talk.kept() if speaker == "agent"] == ["82 °C."]


async def take_over(talk: Talk) -> None:
    """Another worker has the agent's run from now on."""
    await talk.sql(
        "UPDATE runs_run SET epoch = epoch + 1, lease_owner = 'another' "
        "WHERE split_id IS NOT NULL AND state = 'running'"
    )


async def test_a_worker_that_lost_its_claim_tells_of_no_turn(talk: Talk) -> None:
    async def lost(question: Question) -> Any:
        await take_over(talk)
        return turn(STOP)

    talk.says(lost)
    await talk.tell(ASK)
    await talk.work()
    assert "agent.turn_began" in [kind for kind, _ in await journal()]
    assert "agent.call_proposed" not in [kind for kind, _ in await journal()]
    assert "agent.turn_ended" not in [kind for kind, _ in await journal()]


async def test_a_worker_that_lost_its_claim_answers_nothing(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still after it had read what it answers with."""
    read = own_rows.read

    async def slow(connection: Any, run_id: UUID) -> own_rows.OwnRows:
        found = await read(connection, run_id)
        if talk.script.asked:
            await take_over(talk)
        return found

    monkeypatch.setattr("appliance.agent.actions.agent_answer.own_rows.read", slow)
    talk.says(end("82 °C."))
    await talk.tell(ASK)
    await talk.work()
    assert [row["state"] for row in await talk.shards()] == ["running"], "it is another worker's"
    assert await told(talk) == []
    assert [speaker for speaker, _, _ in await talk.kept()] == ["person"]


async def test_a_worker_that_lost_its_claim_remembers_nothing(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(connection: Any, run_id: UUID) -> Asked | None:
        found = await asked_in(connection, run_id)
        await take_over(talk)
        return found

    monkeypatch.setattr("appliance.agent.actions.agent_note.asked_in", slow)
    talk.says(turn(("notes.propose", {"text": "pump 3 is the old one"})))
    await talk.tell(ASK)
    await talk.work()
    assert await talk.count("agent_note") == 0
