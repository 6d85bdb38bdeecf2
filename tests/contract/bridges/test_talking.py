"""On every platform where people can write, what nothing else understood reaches the agent and is answered there."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from psycopg.rows import class_row

from appliance.accounts.models import ApiToken, User
from appliance.agent.conversations.models import AgentMessage
from appliance.bridges.composing import Composer
from appliance.bridges.inbound import InboundWorker
from appliance.bridges.inbox import BridgeInbox
from appliance.bridges.messages import RawEvent
from appliance.bridges.models import ChatIdentity
from appliance.lib.clock import SystemClock
from appliance.outbox.ports import Parcel
from appliance.processes.chat import ChatCommands
from appliance.processes.chat_results import ChatResults
from tests import database
from tests.chat_desk import open_pool
from tests.integration.agent.loop.conftest import Agent
from tests.integration.runs.conftest import EMPTIED, silent_hints
from tests.scripted_model import end, turn

from .family import Member, Remote

__all__ = ["silent_hints"]
QUESTION = "why would you say that it is so hot over there"
TASK = """
- name: helper
  trigger: {chat: {otherwise: true, rooms: true}}
  overlap: {key: "{{ payload.person }}", policy: queue}
  actions:
    - {id: answer, type: agent, conversation: true, goal: "{{ payload.text }}", tools: [readings.last]}
"""


class Desk(Agent):
    """Everything between the platform's event and its answer is the product's, but the model."""

    member: Member

    async def hears(self, text: str, event_id: str) -> None:
        bridge, clock = self.member.bridge, SystemClock()
        worker = InboundWorker(self.pool, clock, ChatCommands(), lambda: {self.member.kind: bridge})
        inbox = BridgeInbox(self.pool, clock, self.member.kind, worker.poke)
        await inbox.receive([RawEvent(event_id, {**self.member.said(text)})])
        await worker.round()
        await worker.settle()

    async def works(self) -> None:
        for row in await self.sql("SELECT id FROM runs_run WHERE state = 'queued' AND split_id IS NULL"):
            await self.go_on(row["id"])
        await ChatResults(self.pool, self.clock).tick()

    async def delivers(self) -> None:
        composer = Composer(self.pool, SystemClock(), "k" * 32)
        async with self.pool.connection() as opened:
            cursor = opened.cursor(row_factory=class_row(Parcel))
            await cursor.execute(
                "SELECT id, key, platform, conversation, message, 1 AS attempt, 0 AS parts_done, "
                "false AS repeat_possible, run_id, step_id FROM outbox_item ORDER BY seq"
            )
            parcels = await cursor.fetchall()
        for parcel in parcels:
            opaque = isinstance(self.member, Remote)
            message = await composer.compose(parcel, self.member.bridge, opaque=opaque)
            assert message is not None
            await self.member.bridge.send_message(message)
        await self.sql("DELETE FROM outbox_item")


def _who_writes(member: Member) -> None:
    """The person ``7``, as the platform's events name them."""
    database.execute(EMPTIED)
    now = datetime.now(UTC)
    user = User.objects.create(pk=7, username="ann", role="operator")
    ApiToken.objects.create(
        pk=3, user=user, name="bot", digest="d", scopes=["chat", "run_tasks"], created_at=now
    )
    if member.kind not in ("webchat", "gateway"):
        ChatIdentity.objects.create(
            platform=member.kind, user_id="7", person=user, first_seen=now, last_seen=now
        )


@pytest.fixture
async def desk(member: Member, tmp_path: Path, silent_hints: None) -> AsyncIterator[Desk]:
    if not member.bridge.capabilities.receives:
        pytest.skip("nobody can write there")
    await sync_to_async(_who_writes)(member)
    async with open_pool() as pool:
        made = Desk(pool, tmp_path)
        made.member = member
        await made.load(TASK)
        yield made
    await sync_to_async(connections.close_all)()


CHANGED_NOTHING = "Changed: nothing, by the box's own record."


async def test_a_question_is_answered_where_it_was_asked_and_goes_on_from_there(desk: Desk) -> None:
    script = desk.says(
        turn(("readings.last", {"topic": "plant/"})), end("The valve was shut."), end("Line 3.")
    )
    for _ in range(2):  # as after a crash: it is one question all the same
        await desk.hears(QUESTION, "e1")
    await desk.works()
    await desk.delivers()
    looks, answer = [*await desk.member.seen()][-2:]
    assert "I look into it: run " in looks
    assert answer.splitlines() == ["The valve was shut.", "", CHANGED_NOTHING]
    await desk.hears("and which one would that be", "e2")
    await desk.works()
    await desk.delivers()
    assert [*await desk.member.seen()][-1].splitlines()[0] == "Line 3."
    assert QUESTION in script.told(2)
    assert "The valve was shut." in script.told(2)
    assert await AgentMessage.objects.acount() == 4


async def test_an_answer_too_long_for_the_platform_arrives_whole_or_says_what_is_missing(desk: Desk) -> None:
    words = " ".join(f"w{number}" for number in range(4_500))
    desk.says(end(words))
    await desk.hears(QUESTION, "e1")
    await desk.works()
    await desk.delivers()
    seen = " ".join(await desk.member.seen())
    kept = await desk.sql("SELECT name, content FROM bridges_file")
    files = [*desk.member.files()] if isinstance(desk.member, Remote) else []
    files += [(row["name"], bytes(row["content"])) for row in kept]
    whole = any(name == "answer.txt" and content.decode() == words for name, content in files)
    assert whole or "w4499" in seen or "characters left out" in seen
