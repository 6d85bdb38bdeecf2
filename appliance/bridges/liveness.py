"""Which platforms are deaf now: one answer for the web admin, API, metrics, doctor, chat and console."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext_noop

from appliance.bridges.models import Platform
from appliance.bridges.ports import ProbeState
from appliance.bridges.registry import bridges
from appliance.lib.jsontypes import JsonObject

DEAF_AFTER = timedelta(seconds=25)
"""One lost answer is not deafness."""
UNASKED_LIMIT = timedelta(seconds=90)
"""Each is asked every 45 seconds and has 20 to answer: one that was not asked for longer is not looked after."""
UNASKED = gettext_noop("nobody has asked it since: the reactor does not look after its platforms")


@dataclass(frozen=True, slots=True)
class Liveness:
    """A platform that is switched on. ``deaf_since`` is None for one that hears; ``answered_at`` and ``round_trip_ms``
    are of its last round trip that came back, also while it is deaf."""

    name: str
    title: str
    state: ProbeState
    message: str
    deaf_since: datetime | None
    checked_at: datetime | None
    answered_at: datetime | None
    round_trip_ms: float | None

    @property
    def is_deaf(self) -> bool:
        return self.deaf_since is not None

    def deaf_seconds(self, now: datetime) -> float:
        return max(0.0, (now - self.deaf_since).total_seconds()) if self.deaf_since else 0.0

    def to_json(self) -> JsonObject:
        """Without what the platform said, for whoever may not know."""
        return {
            "hears": not self.is_deaf,
            "deaf_since": self.deaf_since.isoformat() if self.deaf_since else None,
        }


def liveness(now: datetime) -> list[Liveness]:
    """Every platform that is switched on, by name."""
    return [_liveness(row, now) for row in Platform.objects.filter(enabled=True)]


def deaf(now: datetime) -> list[Liveness]:
    """Those that do not hear."""
    return [one for one in liveness(now) if one.is_deaf]


def _liveness(row: Platform, now: datetime) -> Liveness:
    factory = bridges().get(row.kind)
    since, message = row.deaf_since, str(row.health.get("message", ""))
    if since is not None and now - since < DEAF_AFTER:
        since = None
    if since is None and row.health_at is not None and now - row.health_at > UNASKED_LIMIT:
        since, message = row.health_at, UNASKED
    return Liveness(
        name=row.name,
        title=factory.title if factory else row.kind,
        state=ProbeState(row.health.get("state", ProbeState.WAITING)),
        message=message,
        deaf_since=since,
        checked_at=row.health_at,
        answered_at=row.answered_at,
        round_trip_ms=row.round_trip_ms,
    )
