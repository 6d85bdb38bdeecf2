"""What the box does for itself: partitions ahead of time, signed audit heads, signs of life, the budget of days."""

import logging
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from appliance.alerts.follower import AlertFollower
from appliance.alerts.services import forget, read_up_to
from appliance.audit.errors import AuditBroken
from appliance.audit.retention import Anchor
from appliance.audit.retention import prune as shorten
from appliance.audit.services import sign_head
from appliance.bridges.chats import prune
from appliance.bus.aside import forget as forget_aside
from appliance.lib.clock import Clock
from appliance.lib.config import Config
from appliance.lib.duties import done
from appliance.lib.errors import MillwrightError
from appliance.lib.partitions import Key, create_day, day_of, days_from
from appliance.processes.in_django import in_django
from appliance.sandbox import findings

log = logging.getLogger(__name__)

AHEAD = 4
SIGN_EVERY = 60.0
PARTITIONED: dict[str, Key] = {
    "tasks_occurrence": Key.UUID,
    "runs_run": Key.UUID,
    "runs_step": Key.UUID,
    "runs_checkpoint": Key.UUID,
    "runs_split": Key.UUID,
    "events_event": Key.TIME,
    "outbox_item": Key.UUID,
}

_PARTS = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass
"""
_UNFINISHED = "SELECT EXISTS (SELECT 1 FROM {} WHERE state = ANY(%s))"
_OPEN_STATES = {
    "runs_run": ["queued", "running", "waiting"],
    "outbox_item": ["pending", "sending"],
}


def _shortened(now: datetime, keep: timedelta, archive: bool) -> list[Anchor]:
    return shorten(now, keep=keep, archive=archive, upto=read_up_to() or 0)


class Housekeeping:
    """Called every half minute by the reactor; each duty keeps its own pace."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        config: Config,
        alerts: AlertFollower,
    ) -> None:
        self._alerts = alerts
        self._pool = pool
        self._clock = clock
        self._config = config
        self._done_on: dict[str, date] = {}
        """When each duty of the day was last done."""
        self._signed_at: float | None = None

    async def tick(self) -> None:
        """Each duty by itself: one that fails is tried again at the next call, and keeps no other from being done."""
        await done(self._sign_in_time)
        today = self._clock.now().date()
        for duty in (self._days, self._forget_repeats, self._forget_old, self._shorten_record):
            if self._done_on.get(duty.__name__) != today and await done(duty):
                self._done_on[duty.__name__] = today

    async def _days(self) -> None:
        today = self._clock.now().date()
        await self.prepare_partitions(today)
        await self.drop_old(today)

    async def _forget_old(self) -> None:
        now, days = self._clock.now(), self._config.keep_days
        before = now - timedelta(days=days)
        async with self._pool.connection() as connection:
            await findings.forget(connection, now, days)
            await forget_aside(connection, before)
        await in_django(prune, before)
        await in_django(forget, before)

    async def _sign_in_time(self) -> None:
        # By a clock that nobody sets back: signing would rest as long.
        if self._signed_at is None or self._clock.monotonic() - self._signed_at >= SIGN_EVERY:
            await self._sign()
            self._signed_at = self._clock.monotonic()

    async def _sign(self) -> None:
        """A chain that does not fit its signed heads is told at once, and said again until somebody looks."""
        try:
            await in_django(sign_head, self._clock.now())
        except AuditBroken as error:
            log.error("audit: %s", error)
            await self._alerts.outside(error.code, "audit", {"message": str(error)})

    async def _shorten_record(self) -> None:
        """What is older than its days is archived or dropped; nothing that was not looked at for alerts yet."""
        if not self._config.audit_keep_days:
            return
        keep, archive = timedelta(days=self._config.audit_keep_days), self._config.audit_archive
        try:
            for cut in await in_django(_shortened, self._clock.now(), keep, archive):
                log.info("retention: records %d to %d: %s", cut.after + 1, cut.seq, cut.file or "dropped")
        except AuditBroken as error:
            log.error("audit: %s", error)
            await self._alerts.outside(error.code, "audit", {"message": str(error)})
        except (MillwrightError, OSError) as error:
            log.warning("the audit record was not shortened: %s", error)

    async def _forget_repeats(self) -> None:
        """By what a repeated webhook or command is known."""
        async with self._pool.connection() as connection:
            for table in ("tasks_webhookseen", "processes_commandanswered"):
                await connection.execute(
                    sql.SQL("DELETE FROM {} WHERE at < %s").format(sql.Identifier(table)),
                    (self._clock.now() - timedelta(days=2),),
                )

    async def prepare_partitions(self, today: date) -> None:
        """Today's and the next days' partitions. A day that has rows in DEFAULT stays there."""
        for table, key in PARTITIONED.items():
            for day in days_from(today, AHEAD):
                try:
                    async with self._pool.connection() as connection:
                        await connection.execute(create_day(table, key, day))
                except Exception as error:
                    log.warning("partition of %s for %s: %s", table, day, error)

    async def drop_old(self, today: date) -> list[str]:
        """Drop whole days beyond the budget, in days and in bytes; never a day with an unfinished run."""
        dropped = []
        for table in PARTITIONED:
            for name in await self._too_old(table, today):
                async with self._pool.connection() as connection:
                    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
                dropped.append(name)
                log.info("retention: dropped %s", name)
        return dropped

    async def _too_old(self, table: str, today: date) -> list[str]:
        keep = self._config.keep_days
        budget = self._config.keep_bytes // len(PARTITIONED)
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PARTS, (table,))).fetchall()
            sized = [(day, name, size) for name, size in rows if (day := day_of(name))]
            total, out = 0, []
            for day, name, size in sorted(sized, reverse=True):
                total += size
                old = (today - day).days > keep
                if day < today and (old or total > budget) and await self._finished(connection, table, day):
                    out.append(name)
        return out

    async def _finished(self, connection: AsyncConnection[Any], table: str, day: date) -> bool:
        """What belongs to runs is kept as long as they are; a day whose runs are dropped already has none."""
        owner = "runs_run" if table in ("runs_step", "runs_checkpoint", "runs_split") else table
        if owner not in _OPEN_STATES:
            return True
        name = f"{owner}_p{day:%Y%m%d}"
        row = await (await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))).fetchone()
        if row is None or not row[0]:
            return True
        query = sql.SQL(_UNFINISHED).format(sql.Identifier(name))
        row = await (await connection.execute(query, (_OPEN_STATES[owner],))).fetchone()
        return row is not None and not row[0]
