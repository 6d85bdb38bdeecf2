"""What the box does for itself: partitions ahead of time, signed audit heads, signs of life, the budget of days."""

import logging
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from appliance.agent.conversations.services import prune as forget_said
from appliance.agent.proposals.keeping import tidy as tidy_proposals
from appliance.alerts.follower import AlertFollower
from appliance.alerts.services import forget, read_up_to
from appliance.audit.errors import AuditBroken
from appliance.audit.retention import Anchor
from appliance.audit.retention import prune as shorten
from appliance.audit.services import sign_head
from appliance.bridges.chats import prune
from appliance.bus.aside import forget as forget_aside
from appliance.escalations.services import prune as forget_settled
from appliance.lib.clock import Clock
from appliance.lib.config import Config
from appliance.lib.duties import done
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.processes.days import Days
from appliance.processes.strays import delete_strays
from appliance.sandbox import findings

log = logging.getLogger(__name__)

SIGN_EVERY = 60.0
AGAIN = 300.0
"""Seconds until a duty of the day that failed is tried again: one that waits for a table makes its writers wait."""


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
        self._again_at: dict[str, float] = {}
        self.days = Days(pool, config)
        self._signed_at: float | None = None

    async def tick(self) -> None:
        """Each duty by itself: one that fails is tried again later, and keeps no other from being done."""
        await done(self._sign_in_time)
        today = self._clock.now().date()
        for duty in (
            self._days,
            self._delete_strays,
            self._forget_repeats,
            self._forget_old,
            self._shorten_record,
        ):
            name, now = duty.__name__, self._clock.monotonic()
            if self._done_on.get(name) == today or now < self._again_at.get(name, now):
                continue
            if await done(duty):
                self._done_on[name] = today
            else:
                self._again_at[name] = now + AGAIN

    async def _days(self) -> None:
        today = self._clock.now().date()
        await self.days.prepare(today)
        await self.days.drop_old(today)

    async def _delete_strays(self) -> None:
        await delete_strays(self._pool, self._clock.now().date(), self._config.keep_days)

    async def _forget_old(self) -> None:
        now, days = self._clock.now(), self._config.keep_days
        before = now - timedelta(days=days)
        async with self._pool.connection() as connection:
            await findings.forget(connection, now, days)
            await forget_aside(connection, before)
        await in_django(prune, before)
        await in_django(forget_settled, before)
        await in_django(forget, before)
        await in_django(tidy_proposals, now, timedelta(days=days))
        await in_django(forget_said, now, timedelta(days=self._config.conversation_days))

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
