"""A hub and a sender on the test database, as the reactor has them, with Telegram's stand-in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.db import connection as django_connection

from appliance.accounts.models import User
from appliance.bridges.commands import help_text
from appliance.bridges.hub import BridgeHub
from appliance.bridges.messages import Button
from appliance.bridges.ports import Answer, ChatCommand, ChatSender, Illustrator, Verb
from appliance.lib.clock import SystemClock
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.sender import Sender
from appliance.outbox.services import enqueue
from tests import database
from tests.chat_desk import Pool, open_pool
from tests.database import emptied
from tests.standins.telegram import TelegramStandin
from tests.wait import wait_for_async

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call a synchronous service as a view does: in a thread with a Django connection of its own."""

    def call() -> T:
        try:
            return work(*arguments, **named)
        finally:
            django_connection.close()

    return await asyncio.to_thread(call)


@dataclass
class Handler:
    """A CommandHandler that remembers, and does what a test says."""

    heard: list[tuple[ChatCommand, ChatSender]] = field(default_factory=list)
    act: Callable[[ChatCommand], Awaitable[str]] | None = None
    buttons: tuple[Button, ...] = ()

    async def handle(self, command: ChatCommand, sender: ChatSender) -> Answer | None:
        self.heard.append((command, sender))
        if self.act:
            return Answer(await self.act(command))
        if command.verb is Verb.UNKNOWN:
            return None
        if command.verb in (Verb.HELP, Verb.START):
            return Answer(help_text(command.language))
        return Answer(f"{command.verb.value} {command.argument}".strip(), self.buttons)

    @property
    def verbs(self) -> list[str]:
        return [command.verb.value for command, _ in self.heard]


@dataclass
class Runs:
    heard: list[tuple[str, str]] = field(default_factory=list)

    async def delivered(self, run_id: UUID, step_id: str, receipt: JsonObject) -> None:
        self.heard.append(("delivered", step_id))

    async def failed(self, run_id: UUID, step_id: str, error: str) -> None:
        self.heard.append(("failed", error))


@dataclass
class House:
    """Everything of the reactor that chat needs. ``variables`` is the environment that references look into."""

    pool: Pool
    telegram: TelegramStandin
    handler: Handler = field(default_factory=Handler)
    runs: Runs = field(default_factory=Runs)
    variables: dict[str, str] = field(default_factory=dict)

    def hub(self, illustrator: Illustrator | None = None) -> BridgeHub:
        return BridgeHub(
            self.pool,
            self.handler,
            SystemClock(),
            lookup=self.variables.get,
            settings={"telegram_api": self.telegram.root},
            illustrator=illustrator,
        )

    @asynccontextmanager
    async def living(self, illustrator: Illustrator | None = None) -> AsyncIterator[BridgeHub]:
        hub = self.hub(illustrator)
        sender = Sender(self.pool, hub, self.runs, SystemClock())
        await hub.start()
        sending = asyncio.create_task(sender.run())
        try:
            yield hub
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await hub.stop()

    async def put(self, text: str, platform: str, conversation: str | None = None) -> UUID:
        run_id = uuid7()
        item = OutboxItem(
            f"{run_id}/tell", platform, {"text": text}, conversation, run_id=run_id, step_id="tell"
        )
        async with self.pool.connection() as connection, connection.transaction():
            return await enqueue(connection, item)

    async def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(query, parameters)
            return await cursor.fetchall()

    async def reason(self, item: UUID) -> tuple[str, str]:
        [(state, reason)] = await self.rows("SELECT state, reason FROM outbox_item WHERE id = %s", item)
        return state, reason

    async def until(self, item: UUID, state: str, reason: str = "") -> None:
        async def reached() -> bool:
            now = await self.reason(item)
            return now[0] == state and reason in now[1]

        await wait_for_async(reached, what=f"item {state} {reason}")

    async def chat(self, platform: str = "webchat") -> list[tuple[str, str]]:
        """What the box said in the chats that it keeps: (conversation, text)."""
        return await self.rows(
            "SELECT conversation, text FROM bridges_message WHERE NOT inbound AND platform = %s ORDER BY id",
            platform,
        )


EMPTIED = emptied(
    *("outbox_item", "outbox_digest", "events_event", "safety_allstop", "safety_secret"),
    *("bridges_platform", "bridges_chatidentity", "bridges_inbound", "bridges_message"),
)


@pytest.fixture
def clean(transactional_db: None) -> None:
    database.execute(EMPTIED)


@pytest.fixture
def ann(clean: None) -> User:
    return User.objects.create_user("ann", password="x", role="operator")


@pytest.fixture
def standin() -> Iterator[TelegramStandin]:
    with TelegramStandin() as running:
        yield running


@pytest.fixture
async def house(clean: None, ann: User, standin: TelegramStandin) -> AsyncIterator[House]:
    async with open_pool() as pool:
        yield House(pool, standin)
