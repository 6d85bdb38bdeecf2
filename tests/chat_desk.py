"""What tests of bridges share: an inbox in memory, a context, and a pool on the test database."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bridges.messages import ChatMessage, RawEvent
from appliance.bridges.ports import BridgeContext
from appliance.bridges.registry import factory_of
from appliance.lib.clock import SystemClock
from appliance.lib.identity import uuid7
from tests.database import address

Pool = AsyncConnectionPool[AsyncConnection[Any]]
WEBHOOK_SECRET = "w" * 64


@dataclass
class MemoryInbox:
    """An Inbox that a test can look into."""

    events: list[RawEvent] = field(default_factory=list)
    position: str | None = None

    async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
        known = {event.event_id for event in self.events}
        new = [event for event in events if event.event_id not in known]
        self.events.extend(new)
        self.position = cursor or self.position
        return len(new)

    async def cursor(self) -> str | None:
        return self.position


@asynccontextmanager
async def open_pool(largest: int = 6) -> AsyncIterator[Pool]:
    """On the test database; the tables must be there (a test asks for ``transactional_db``)."""
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=largest, kwargs={"autocommit": True}, open=False
    ) as pool:
        yield pool


def idle_pool() -> Pool:
    """For bridges that never touch the database."""
    return AsyncConnectionPool("", min_size=0, max_size=1, open=False)


def context(
    kind: str,
    *,
    pool: Pool,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    inbox: MemoryInbox | None = None,
    telegram_api: str = "",
) -> BridgeContext:
    """Everything a bridge of ``kind`` needs."""
    return BridgeContext(
        name=kind,
        config=factory_of(kind).config.model_validate({"name": kind, **(config or {})}),
        pool=pool,
        inbox=inbox or MemoryInbox(),
        clock=SystemClock(),
        secrets=secrets or {},
        webhook_secret=WEBHOOK_SECRET,
        settings={"telegram_api": telegram_api} if telegram_api else {},
    )


def chat_message(text: str, *, conversation: str = "42", **more: Any) -> ChatMessage:
    identifier: UUID = more.pop("id", None) or uuid7()
    return ChatMessage(id=identifier, key=f"key/{identifier}", conversation=conversation, text=text, **more)
