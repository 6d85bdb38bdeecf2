"""People talk to the assistant that ships, on the real engine; the model is a script."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.agent import assistant
from appliance.agent.conversations.models import AgentMessage
from appliance.agent.explaining.changed import changed_in
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import Answer, ChatSender
from appliance.processes.chat import ChatCommands
from appliance.processes.chat_results import ChatResults
from appliance.runs.turns import Turns
from tests.integration.agent.loop.conftest import ALLOW, Agent
from tests.integration.runs.conftest import Pool, clean, pool, silent_hints

__all__ = ["ALLOW", "clean", "pool", "silent_hints"]

NOTHING_CHANGED = f"\n\n{changed_in({})}"
"""What stands behind an answer that did nothing."""


@dataclass(frozen=True)
class Heard:
    text: str
    buttons: tuple[str, ...]


class Talk(Agent):
    """``tell`` says something as a person; ``work`` has all runs worked on until they end or wait."""

    chat: ChatCommands
    said: int = 0

    async def tell(
        self,
        text: str,
        *,
        who: str = "anna",
        platform: str = "telegram",
        place: str = "c7",
        private: bool = True,
        key: str = "",
        keep_time: bool = False,
    ) -> Heard:
        self.said += 1
        if not keep_time:
            self.clock.advance(timedelta(seconds=1))
        command = parse_command(text, key=key or f"chat/{self.said}", received_at=self.clock.now())
        answer = await sync_to_async(self._do)(command, who, platform, place, private)
        return Heard(answer.text, tuple(one.data for one in answer.buttons))

    def _do(self, command: Any, who: str, platform: str, place: str, private: bool) -> Answer:
        person = User.objects.get(username=who)
        sender = ChatSender(person.pk, who, platform, f"{who}-there", place, private=private)
        answer = self.chat._done(command, sender)
        return answer if isinstance(answer, Answer) else Answer("")

    async def work(self) -> None:
        """Every run that can go on, and after it those that waited for its end."""
        while True:
            await Turns(self.pool).hand_on()
            rows = await self.sql(
                "SELECT DISTINCT CASE WHEN split_id IS NULL THEN id ELSE parent_run_id END AS id FROM runs_run "
                "WHERE state = 'queued' ORDER BY 1"
            )
            for row in rows:
                await self.go_on(row["id"])
            if not rows:
                return

    async def delivered(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What chats are told of answers and ends, and where, oldest first."""
        await ChatResults(self.pool, self.clock).tick()
        rows = await self.sql(
            "SELECT platform, conversation, message FROM outbox_item WHERE key ~ '^chat-(answer|result)/' ORDER BY seq"
        )
        return [(row["platform"], row["conversation"], row["message"]) for row in rows]

    async def kept(self) -> list[tuple[str, str, str]]:
        rows = AgentMessage.objects.order_by("id")
        return [(row.speaker, row.author, row.text) async for row in rows]

    async def newest_run(self) -> dict[str, Any]:
        (row,) = await self.sql("SELECT * FROM runs_run WHERE split_id IS NULL ORDER BY id DESC LIMIT 1")
        return row


def run_in(text: str) -> str:
    """The end of a run's number in a sentence."""
    found = re.search(r"run ([0-9a-f]{8})", text)
    assert found, text
    return found[1]


def _people() -> None:
    User.objects.create(username="anna", role="operator")
    User.objects.create(username="bert", role="engineer")
    User.objects.create(username="vic", role="viewer")


@pytest.fixture
async def talk(pool: Pool, tmp_path: Path, silent_hints: None) -> AsyncIterator[Talk]:
    made = Talk(pool, tmp_path)
    made.chat = ChatCommands()
    await sync_to_async(_people)()
    await sync_to_async(assistant.switch_on)(CONSOLE, made.clock.now())
    yield made
    await sync_to_async(connections.close_all)()
