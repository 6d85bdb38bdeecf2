"""What screens, programs and commands ask of the network's state."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from appliance.lib.jsontypes import JsonObject
from appliance.outbox.models import NetworkFacts, NetworkTarget
from appliance.outbox.network.domain import Condition, Reach, TargetKind

STALE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class TargetState:
    name: str
    kind: TargetKind
    place: str
    """``host:port``; empty for the link."""
    state: Reach
    since: datetime
    checked_at: datetime | None
    reason: str
    """What the last look found wrong; one bad look does not make a target down."""
    round_trip_ms: float | None
    outages: int


@dataclass(frozen=True, slots=True)
class NetworkState:
    """``names_found`` says whether the targets' names are found; None where none has one. ``fresh`` is False
    where nobody looks: the reactor does not run."""

    condition: Condition
    since: datetime | None
    fresh: bool
    note: str
    interfaces: tuple[str, ...]
    default_route: bool
    names_found: bool | None
    targets: tuple[TargetState, ...]

    def to_json(self) -> JsonObject:
        plain: JsonObject = asdict(self)
        plain["since"] = self.since.isoformat() if self.since else None
        plain["interfaces"] = list(self.interfaces)
        plain["targets"] = [
            {
                **asdict(target),
                "since": target.since.isoformat(),
                "checked_at": target.checked_at.isoformat() if target.checked_at else None,
            }
            for target in self.targets
        ]
        return plain

    @property
    def away(self) -> tuple[TargetState, ...]:
        return tuple(target for target in self.targets if target.state is Reach.DOWN)


def network_state(now: datetime | None = None) -> NetworkState:
    """Two queries, on Django's connection. Before the first look the network counts as online."""
    now = now or datetime.now(UTC)
    facts = NetworkFacts.objects.filter(pk=1).first()
    rows = NetworkTarget.objects.order_by("name")
    targets = tuple(
        TargetState(
            row.name,
            TargetKind(row.kind),
            f"{row.host}:{row.port}" if row.host else "",
            Reach(row.state),
            row.since,
            row.checked_at,
            row.reason,
            row.round_trip_ms,
            row.outages,
        )
        for row in rows
    )
    if facts is None:
        return NetworkState(Condition.ONLINE, None, False, "", (), False, None, targets)
    return NetworkState(
        Condition(facts.condition),
        facts.since,
        now - facts.checked_at < STALE,
        facts.note,
        tuple(facts.interfaces),
        facts.default_route,
        facts.names_found,
        targets,
    )
