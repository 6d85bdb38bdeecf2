"""The platforms as receivers: what waits for each, and how it has been."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection as django_connection

from appliance.outbox import sql
from appliance.outbox.domain import Breaker, BreakerState


@dataclass(frozen=True, slots=True)
class TargetStatistics:
    """A platform as a receiver. ``urgent`` of the ``waiting`` have a priority above the usual. ``network`` is ``up``,
    ``down`` or ``unknown``, and None where the network monitor does not look at it. The counters are since ever;
    ``postponed`` counts attempts, the others messages. ``held`` are those that wait for a better time."""

    platform: str
    waiting: int
    urgent: int
    sending: int
    conversations: int
    oldest_at: datetime | None
    expires_at: datetime | None
    breaker: BreakerState
    failures: int
    rests_until: datetime | None
    reason: str
    network: str | None
    delivered: int
    failed: int
    expired: int
    postponed: int
    last_delivered_at: datetime | None
    last_failed_at: datetime | None
    held: int


_COLUMNS = (
    *("platform", "waiting", "urgent", "sending", "conversations", "oldest_at", "expires_at"),
    *("failures", "rests_until", "reason", "network", "delivered", "failed", "expired", "postponed"),
    *("last_delivered_at", "last_failed_at", "held"),
)
"""Of the query, in its order."""


def target_statistics(now: datetime | None = None) -> list[TargetStatistics]:
    """Every platform that has or had messages, by name: one query."""
    now = now or datetime.now(UTC)
    with django_connection.cursor() as cursor:
        cursor.execute(sql.STATISTICS)
        return [_statistics(dict(zip(_COLUMNS, row, strict=True)), now) for row in cursor.fetchall()]


def _statistics(row: dict[str, Any], now: datetime) -> TargetStatistics:
    state = Breaker(row["failures"], row["rests_until"]).state(now)
    rests = row["rests_until"] if state is BreakerState.OPEN else None
    return TargetStatistics(**{**row, "rests_until": rests}, breaker=state)
