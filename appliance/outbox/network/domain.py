"""The rules of the network's state. Pure: no Django, no sockets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from appliance.events import Event, NetworkLost, NetworkRecovered

LINK = "link"
"""The target of a box that has nothing to reach: whether a cable is in."""


class Condition(StrEnum):
    """The network as a whole."""

    ONLINE = "online"
    DEGRADED = "degraded"
    """Some targets cannot be reached."""
    OFFLINE = "offline"
    """None can."""


class Reach(StrEnum):
    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class TargetKind(StrEnum):
    PLATFORM = "platform"
    """A chat platform's API host, or the proxy before it; its name is the platform's."""
    BROKER = "broker"
    NAMED = "named"
    """Named by the operator in MILLWRIGHT_NETWORK_TARGETS."""
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something that the box has to do with, and where a TCP connection shows that it is there."""

    name: str
    kind: TargetKind
    host: str = ""
    port: int = 0

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}" if self.host else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One look at an endpoint. ``named`` says whether its name was found; None where it has none."""

    ok: bool
    reason: str = ""
    milliseconds: float | None = None
    named: bool | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What is now thought of a target, and the last answer behind it."""

    reach: Reach
    answer: Answer


@dataclass(frozen=True, slots=True)
class Known:
    """A target as the database knows it."""

    name: str
    kind: TargetKind
    reach: Reach
    since: datetime


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of one target, and what it made of the whole."""

    target: Known
    reach: Reach
    before: Condition
    after: Condition
    reason: str
    seconds: float
    """How long the target had been as it was."""

    @property
    def event(self) -> Event | None:
        """What the journal is told: nothing where nothing was known before and all is well."""
        if self.reach is Reach.DOWN:
            return NetworkLost(
                target=self.target.name,
                reason=self.reason,
                condition=self.after.value,
                before=self.before.value,
            )
        if self.target.reach is Reach.UNKNOWN:
            return None
        return NetworkRecovered(
            target=self.target.name,
            away_seconds=round(self.seconds, 1),
            condition=self.after.value,
            before=self.before.value,
        )


def overall(targets: Iterable[Known]) -> Condition:
    """Online unless a target is down. The link counts only where there is nothing else to judge by: a box in a
    plant without internet, and one that reaches its targets without a cable, are both online."""
    known = list(targets)
    judged = [target for target in known if target.kind is not TargetKind.LINK] or known
    down = sum(target.reach is Reach.DOWN for target in judged)
    if not down:
        return Condition.ONLINE
    return Condition.OFFLINE if down == len(judged) else Condition.DEGRADED


def edges(known: Iterable[Known], opinions: Mapping[str, Opinion], now: datetime) -> list[Edge]:
    """The changes that opinions make of what is known, one after the other: each tells the whole before and after,
    so that exactly one of several says "all is back". The link changes silently beside other targets."""
    current = {target.name: target for target in known}
    alone = all(target.kind is TargetKind.LINK for target in current.values())
    found = []
    for name, target in list(current.items()):
        opinion = opinions.get(name)
        if opinion is None or opinion.reach in (Reach.UNKNOWN, target.reach):
            continue
        before = overall(current.values())
        current[name] = replace(target, reach=opinion.reach, since=now)
        if target.kind is TargetKind.LINK and not alone:
            continue
        seconds = max(0.0, (now - target.since).total_seconds())
        after = overall(current.values())
        found.append(Edge(target, opinion.reach, before, after, opinion.answer.reason, seconds))
    return found
