"""Follows the audit record: what is committed there becomes alerts, each exactly once.

Records are committed in the order of their numbers (the head of the chain is locked until the commit), so a number is
a position. It moves on in the transaction that writes the alerts and their messages. Nobody who writes the record waits
for this, and nobody has to wake it: looking whether there is something new is one row read four times a second.
"""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.alerts import sql
from appliance.alerts.evaluating import Entry, Evaluator, entries_of
from appliance.alerts.loading import load_rules, shipped
from appliance.alerts.model import AlertsFile
from appliance.alerts.raising import Hits, raise_alert, say_due
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonMapping

log = logging.getLogger(__name__)


class AlertFollower:
    EVERY = 0.25
    PAGE = 2000

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock, poke: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._poke = poke
        self._version: int | None = -1
        self._file: AlertsFile = shipped().file

    async def follow(self) -> None:
        """Take everything that is new, page by page, and say what is due."""
        while await self._page():
            pass

    async def outside(self, kind: str, subject: str, detail: JsonMapping) -> None:
        """Something that cannot be put on record, because it is about the record itself."""
        now = self._clock.now()
        entry = Entry(0, now, kind, "box", subject, detail)
        async with self._pool.connection() as connection, connection.transaction():
            await self._read_rules(connection)
            await say_due(connection, self._file, now)
            await self._raise(connection, _hits_in(Evaluator(self._file), [entry]), now)
        self._poke()

    async def _page(self) -> bool:
        now = self._clock.now()
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(row_factory=tuple_row).execute(sql.LOOK, {"now": now})
            row = await cursor.fetchone()
            if row is None:
                return False  # the head is gone: signing says so
            head, position, version, due = row
            if position is None:
                await connection.execute(sql.BEGIN)
                return True
            if head <= position and not due:
                return False
            async with connection.transaction():
                if version != self._version:
                    await self._read_rules(connection)
                # What is due before what is new: an alert that is open then is one that gathers.
                said = await say_due(connection, self._file, now)
                more, found = await self._take(connection, now)
        if said or found:
            self._poke()
        return more

    async def _take(self, connection: AsyncConnection[Any], now: datetime) -> tuple[bool, bool]:
        """One page of records; whether there may be more, and whether something was found."""
        cursor = connection.cursor(row_factory=tuple_row)
        row = await (await cursor.execute(sql.TAKE)).fetchone()
        if row is None:
            return False, False
        position, counts = row
        values = {"after": position, "most": self.PAGE}
        rows = await (await cursor.execute(sql.KINDS, values)).fetchall()
        if not rows:
            return False, False
        evaluator, hits = Evaluator(self._file, counts), dict[str, Hits]()
        wanted = [seq for seq, kind in rows if evaluator.wants(kind)]
        if wanted:
            await cursor.execute(sql.RECORDS, {"seqs": wanted})
            hits = _hits_in(evaluator, [_entry(one) for one in await cursor.fetchall()])
        await self._raise(connection, hits, now)
        await cursor.execute(sql.MOVE, {"seq": rows[-1][0], "counts": Jsonb(evaluator.state())})
        return len(rows) == self.PAGE, bool(hits)

    async def _raise(self, connection: AsyncConnection[Any], hits: dict[str, Hits], now: datetime) -> None:
        for found in hits.values():
            await raise_alert(connection, self._file, self._version or 0, found, now)

    async def _read_rules(self, connection: AsyncConnection[Any]) -> None:
        """The rules in force; those before where they cannot be read, and the log says why."""
        cursor = await connection.cursor(row_factory=tuple_row).execute(sql.RULES)
        row = await cursor.fetchone()
        self._version = row[0] if row else None
        try:
            self._file = load_rules(row[1], f"version {row[0]}").file if row else shipped().file
        except MillwrightError as error:
            log.error("alerts: the rules cannot be read, the ones before stay in force: %s", error)


def _hits_in(evaluator: Evaluator, entries: Sequence[Entry]) -> dict[str, Hits]:
    found: dict[str, Hits] = {}
    for entry in entries:
        for one in entries_of(entry):
            for rule in evaluator.take(one):
                found.setdefault(rule.id, Hits(rule)).add(one)
    return found


def _entry(row: Sequence[Any]) -> Entry:
    seq, at, kind, principal, subject, body = row
    detail = json.loads(body)["detail"]
    return Entry(seq, at, kind, principal, subject, detail if isinstance(detail, dict) else {"value": detail})
