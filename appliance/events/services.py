"""Writing to the journal in the caller's transaction, and reading it in order."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

from django.db import connection as django_connection
from psycopg import AsyncConnection

from appliance.events import sql
from appliance.events.event import Event
from appliance.events.journal import Cursor, CursorInvalid, Entry, Page, columns, entry_of


class Executor(Protocol):
    """A psycopg connection or cursor, or the cursor of a Django connection."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...


def record_many(executor: Executor, events: Sequence[Event]) -> None:
    """Write events in the caller's transaction: one statement. Send a hint after the commit."""
    if events:
        executor.execute(sql.RECORD, columns(events))


def record(executor: Executor, event: Event) -> None:
    """Write one event in the caller's transaction."""
    record_many(executor, (event,))


async def record_many_async(connection: AsyncConnection[Any], events: Sequence[Event]) -> None:
    """As ``record_many``, on an asynchronous connection."""
    if events:
        await connection.execute(sql.RECORD, columns(events))


async def record_async(connection: AsyncConnection[Any], event: Event) -> None:
    """As ``record``, on an asynchronous connection."""
    await record_many_async(connection, (event,))


def read_after(cursor: Cursor | str, limit: int = 500) -> Page:
    """What was committed after ``cursor``, oldest first, on Django's connection. Raises CursorInvalid."""
    start = Cursor.parse(cursor) if isinstance(cursor, str) else cursor
    with django_connection.cursor() as db:
        db.execute(sql.HORIZON)
        horizon = int(db.fetchone()[0])
        _check(start, horizon)
        db.execute(sql.READ_AFTER, (str(start.xact), start.seq, limit + 1))
        return _page(start, [entry_of(row) for row in db.fetchall()], limit)


async def read_after_async(connection: AsyncConnection[Any], cursor: Cursor | str, limit: int = 500) -> Page:
    """As ``read_after``, on an asynchronous connection (default row factory)."""
    start = Cursor.parse(cursor) if isinstance(cursor, str) else cursor
    row = await (await connection.execute(sql.HORIZON)).fetchone()
    _check(start, int(row[0]) if row else 0)
    rows = await connection.execute(sql.READ_AFTER, (str(start.xact), start.seq, limit + 1))
    return _page(start, [entry_of(row) for row in await rows.fetchall()], limit)


async def read_types_after_async(
    connection: AsyncConnection[Any], cursor: Cursor, types: Sequence[str], limit: int = 500
) -> tuple[Page, bool]:
    """As ``read_after_async``, of some types only, and whether there was anything new of any type.

    The page's cursor stands behind all others that were passed over.
    """
    row = await (await connection.execute(sql.HORIZON)).fetchone()
    horizon = int(row[0]) if row else 0
    _check(cursor, horizon)
    values = (str(cursor.xact), cursor.seq, str(horizon), list(types), limit + 1)
    rows = await connection.execute(sql.READ_TYPES_AFTER, values)
    page = _page(cursor, [entry_of(row) for row in await rows.fetchall()], limit)
    # Everything older than the horizon has been looked at, and nothing older can still appear.
    if not page.more:
        page = Page(page.entries, max(page.cursor, Cursor(horizon, 0)), False)
    news = await connection.execute(sql.ANY_AFTER, (str(cursor.xact), cursor.seq, str(horizon)))
    return page, await news.fetchone() is not None


def has_gap(cursor: Cursor) -> bool:
    """Whether something that came after ``cursor`` may not be kept any more. Never False where something is lost."""
    with django_connection.cursor() as db:
        db.execute(sql.OLDEST, (str(cursor.xact), cursor.seq))
        row = db.fetchone()
    # Nothing up to the position is kept: then the next number that was drawn is, or was lost.
    return row is not None and row[0] is not None and int(row[0]) > cursor.seq + 1


def latest(types: Sequence[str], *, within: timedelta = timedelta(days=7), limit: int = 50) -> list[Entry]:
    """The last events of some types, newest first: what a feed shows before its first live event."""
    with django_connection.cursor() as db:
        db.execute(sql.LATEST, (list(types), within.total_seconds(), limit))
        return [entry_of(row) for row in db.fetchall()]


def current_cursor() -> Cursor:
    """The position of now: take it before reading state, then read the journal from it; nothing is missed."""
    with django_connection.cursor() as db:
        db.execute(sql.HORIZON)
        return Cursor(int(db.fetchone()[0]), 0)


async def current_cursor_async(connection: AsyncConnection[Any]) -> Cursor:
    """As ``current_cursor``, on an asynchronous connection."""
    row = await (await connection.execute(sql.HORIZON)).fetchone()
    return Cursor(int(row[0]) if row else 0, 0)


def _check(start: Cursor, horizon: int) -> None:
    """A position of another database cluster (a backup was restored) must not silence its reader for ever."""
    if start.xact > horizon:
        raise CursorInvalid("this position lies beyond the journal", hint="take the current one")


def _page(start: Cursor, entries: list[Entry], limit: int) -> Page:
    kept = entries[:limit]
    return Page(tuple(kept), kept[-1].cursor if kept else start, len(entries) > limit)
