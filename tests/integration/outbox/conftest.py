"""A pool on the test database, and players for both sides of the sender."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import DigestRule, Hold, OutboxItem, Pace, Parcel, Receipt
from appliance.outbox.sender import Sender
from appliance.outbox.services import enqueue
from tests import database
from tests.database import address, emptied

EMPTIED = emptied(
    *("outbox_item", "outbox_digest", "events_event", "outbox_outboxtarget"),
    *("outbox_networktarget", "outbox_networkfacts"),
)
Pool = AsyncConnectionPool[AsyncConnection[Any]]


@dataclass
class Player:
    """A courier whose answers a test decides: per platform, a queue of errors to raise before it delivers."""

    clock: ManualClock
    seen: list[Parcel] = field(default_factory=list)
    errors: dict[str, list[Exception]] = field(default_factory=lambda: defaultdict(list))
    before: Callable[[Parcel], Awaitable[None]] | None = None
    paces: dict[str, Pace] = field(default_factory=dict)
    hold: Callable[[Parcel, datetime], Hold | None] = lambda parcel, now: None
    asked: list[Parcel] = field(default_factory=list)
    rules: dict[str, DigestRule] = field(default_factory=dict)
    edited: bool = True
    """What becomes of a message that is to take the place of another one."""

    async def deliver(self, parcel: Parcel) -> Receipt:
        self.seen.append(parcel)
        if self.before:
            await self.before(parcel)
        if self.errors[parcel.platform]:
            raise self.errors[parcel.platform].pop(0)
        replaced = self.edited and parcel.digest is not None and parcel.digest.replaces is not None
        detail: JsonObject = {"edited": True} if replaced else {}
        return Receipt(
            parcel.platform, parcel.conversation or "home", ("m1",), self.clock.now(), detail=detail
        )

    async def hold_until(self, parcel: Parcel, now: datetime) -> Hold | None:
        self.asked.append(parcel)
        return self.hold(parcel, now)

    def pace(self, platform: str, conversation: str | None) -> Pace:
        return self.paces.get(platform, Pace())

    def digests(self, platform: str) -> DigestRule | None:
        return self.rules.get(platform)

    @property
    def texts(self) -> list[object]:
        return [parcel.message["text"] for parcel in self.seen]


@dataclass
class Runs:
    """A listener that remembers; it can be told to refuse."""

    heard: list[tuple[str, UUID, str, object]] = field(default_factory=list)
    refuse: int = 0

    async def delivered(self, run_id: UUID, step_id: str, receipt: JsonObject) -> None:
        self._hear("delivered", run_id, step_id, receipt)

    async def failed(self, run_id: UUID, step_id: str, error: str) -> None:
        self._hear("failed", run_id, step_id, error)

    def _hear(self, what: str, run_id: UUID, step_id: str, detail: object) -> None:
        if self.refuse:
            self.refuse -= 1
            raise RuntimeError("not now")
        self.heard.append((what, run_id, step_id, detail))


@dataclass
class Desk:
    """One sender with everything around it."""

    pool: Pool
    clock: ManualClock
    courier: Player
    runs: Runs
    sender: Sender
    away: set[str] = field(default_factory=set)

    def another_sender(self) -> Sender:
        return Sender(self.pool, self.courier, self.runs, self.clock, away=lambda: self.away)

    async def put(self, text: str, *, platform: str = "chat", **more: Any) -> UUID:
        run_id = more.pop("run_id", None) or uuid7()
        item = OutboxItem(
            key=more.pop("key", f"{run_id}/tell"),
            platform=platform,
            message={"text": text},
            run_id=run_id,
            step_id="tell",
            **{"expires_at": self.clock.now() + timedelta(hours=24), **more},
        )
        async with self.pool.connection() as connection, connection.transaction():
            return await enqueue(connection, item)

    async def round(self) -> None:
        """Rounds until nothing more is due at this moment."""
        while await self.sender.round():
            await self.sender.settle()
        await self.sender.settle()

    async def row(self, item: UUID) -> dict[str, Any]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute("SELECT * FROM outbox_item WHERE id = %s", (item,))
            row = await cursor.fetchone()
        assert row is not None
        return row

    async def count(self) -> int:
        async with self.pool.connection() as connection:
            row = await (await connection.execute("SELECT count(*) FROM outbox_item")).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def clean(transactional_db: None) -> None:
    database.execute(EMPTIED)


@pytest.fixture
async def pool(django_db_setup: None) -> AsyncIterator[Pool]:
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=6, kwargs={"autocommit": True}, open=False
    ) as opened:
        database.execute(EMPTIED)
        yield opened


@pytest.fixture
async def desk(pool: Pool) -> Desk:
    clock = ManualClock(SystemClock().now())
    courier, runs = Player(clock), Runs()
    return Desk(pool, clock, courier, runs, Sender(pool, courier, runs, clock, send_limit=5))
