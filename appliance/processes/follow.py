"""Follows the journal: events that trigger tasks, in order, from a position that survives restarts."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.events import RunChanged
from appliance.events.journal import Cursor, CursorInvalid, Entry
from appliance.events.services import current_cursor_async, read_types_after_async
from appliance.lib.jsontypes import JsonObject
from appliance.runs.intake import Intake
from appliance.runs.lending import lent

_READ = "SELECT position FROM processes_follower WHERE name = %s FOR UPDATE"
_WRITE = """
INSERT INTO processes_follower (name, position) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET position = excluded.position
"""


class Position:
    """How far one reader of the journal has come, as it is kept; without one it begins with what comes now."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def read(self, connection: AsyncConnection[Any]) -> Cursor:
        row = await (await connection.execute(_READ, (self._name,))).fetchone()
        now = await current_cursor_async(connection)
        if row is not None:
            try:
                found = Cursor.parse(row[0])
            except CursorInvalid:
                found = now
            if found.xact <= now.xact:
                return found
        await self.write(connection, now)
        return now

    async def write(self, connection: AsyncConnection[Any], cursor: Cursor) -> None:
        await connection.execute(_WRITE, (self._name, str(cursor)))


class Poke(Protocol):
    def poke(self) -> None: ...


class JournalFollower:
    """The position moves in the transaction that writes the occurrences: an event triggers exactly once."""

    EVERY = 0.5
    PAGE = 500

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        intake: Intake,
        hint: Callable[[Sequence[UUID]], None],
        browsers: Poke,
    ) -> None:
        self._position = Position("triggers")
        self._pool = pool
        self._intake = intake
        self._hint = hint
        self._browsers = browsers

    async def follow(self) -> None:
        """Take everything that is new, page by page."""
        while await self._page():
            pass

    async def _page(self) -> bool:
        async with lent(self._pool) as connection, connection.transaction():
            position = await self._position.read(connection)
            page, news = await read_types_after_async(connection, position, self._types(), self.PAGE)
            if not news:
                return False
            run_ids = await self._intake.events(connection, [_trigger_of(entry) for entry in page.entries])
            await self._position.write(connection, page.cursor)
        self._browsers.poke()
        if run_ids:
            self._hint(run_ids)
        return page.more

    def _types(self) -> list[str]:
        """The journal's types of the events that any trigger named."""
        named = self._intake.kinds
        return sorted({RunChanged.type if kind.startswith("run.") else kind for kind in named})


def _trigger_of(entry: Entry) -> tuple[str, JsonObject]:
    """The name under which tasks know an event: a run's end by its state, everything else by its type."""
    if entry.type == RunChanged.type:
        state = entry.data.get("state")
        if state not in ("succeeded", "failed", "cancelled", "undone", "poisoned"):
            return "", {}
        return f"run.{state}", entry.data
    return entry.type, entry.data
