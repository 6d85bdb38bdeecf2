"""When messages about the same are told as one, and how long the next one rests. Pure: time comes in as a parameter."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from appliance.lib.priority import Priority
from appliance.outbox.ports import Digest, DigestRule, Parcel

CONTINUED = timedelta(minutes=10)
"""How old a digest may be that the next one takes the place of, and how long after its rest the pauses still grow."""
EDIT_PAUSE = timedelta(seconds=15)
PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10))
URGENT = Priority.CRITICAL.rank
URGENT_PAUSE = timedelta(minutes=1)
"""What is critical rests no longer than this, however long its kind does."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is about the same, on its way to one target. ``target`` is the conversation; empty: the default one."""

    platform: str
    target: str
    about: str

    @classmethod
    def of(cls, parcel: Parcel) -> "Stream":
        return cls(parcel.platform, parcel.conversation or "", parcel.about)


@dataclass(frozen=True, slots=True)
class Former:
    """The digest before this one; the first five are None where there was none. ``told`` of its messages, and
    ``expired_told`` that never left, are in its words; ``expired`` came since. ``begun_at`` is when its message was
    new, ``sent_at`` when it was last changed, ``steps`` how many in a row were new ones."""

    since: datetime | None = None
    item_id: UUID | None = None
    begun_at: datetime | None = None
    sent_at: datetime | None = None
    rest_until: datetime | None = None
    told: int = 0
    steps: int = 0
    expired: int = 0
    expired_told: int = 0

    def may_be_replaced(self, now: datetime) -> bool:
        return self.begun_at is not None and timedelta(0) <= now - self.begun_at < CONTINUED

    def is_same_storm(self, now: datetime) -> bool:
        return (
            self.sent_at is not None
            and self.rest_until is not None
            and (self.sent_at <= now < self.rest_until + CONTINUED)
        )


@dataclass(frozen=True, slots=True)
class Folded:
    """A claimed item of a digest: the fencing token of its lease, and what is needed to tell its end."""

    id: UUID
    epoch: int
    run_id: UUID | None
    step_id: str
    reason: str
    seq: int
    priority: int
    created_at: datetime
    attempts: int
    may_repeat: bool


@dataclass(frozen=True, slots=True)
class Fold:
    """Items that leave as one digest, under ``rule`` and after ``former``."""

    stream: Stream
    rows: tuple[Folded, ...]
    rule: DigestRule
    former: Former

    @property
    def lead(self) -> Folded:
        """The one whose words are told: the last of the most urgent."""
        return max(self.rows, key=lambda row: (row.priority, row.seq))

    def digest(self, now: datetime) -> Digest:
        since = min(row.created_at for row in self.rows)
        alone = Digest(len(self.rows), since, self.former.expired)
        if not (self.rule.edits and self.former.may_be_replaced(now)):
            return alone
        return replace(
            alone,
            count=alone.count + self.former.told,
            since=min(since, self.former.since or since),
            expired=alone.expired + self.former.expired_told,
            replaces=self.former.item_id,
        )

    def sent(self, digest: Digest, now: datetime, *, edited: bool) -> Former:
        """What is to be known of it for the next one."""
        before = self.former.steps if self.former.is_same_storm(now) else 0
        steps = 1 if edited else before + 1
        # A platform that turns out not to edit this (any more) is spoken to as one that cannot.
        quick = self.rule.edits and (edited or (digest.replaces is None and before <= 1))
        pause = EDIT_PAUSE if quick else PAUSES[min(steps, len(PAUSES)) - 1]
        return Former(
            since=digest.since,
            item_id=self.lead.id,
            begun_at=self.former.begun_at if edited else now,
            sent_at=now,
            rest_until=now + pause,
            told=digest.count,
            steps=steps,
            expired=self.former.expired,
            expired_told=digest.expired,
        )


def is_storm(rule: DigestRule, told: int, waiting: int, former: Former) -> bool:
    """Whether what waits leaves as one: ``told`` went out within the rule's time, ``waiting`` would follow now.

    What expired is said in a digest too, however few are left.
    """
    return told + waiting > rule.after or former.expired > 0


class Told:
    """What went out of each stream lately, in this process: after a restart a few more go out by themselves.
    Time is monotonic seconds."""

    def __init__(self) -> None:
        self._told: dict[Stream, deque[tuple[float, int]]] = {}

    def add(self, stream: Stream, count: int, now: float) -> None:
        self._told.setdefault(stream, deque()).append((now, count))

    def within(self, stream: Stream, seconds: float, now: float) -> int:
        return sum(count for at, count in self._told.get(stream, ()) if now - at < seconds)

    def forget(self, before: float) -> None:
        """What is older than anybody asks for."""
        for stream, told in list(self._told.items()):
            while told and told[0][0] < before:
                told.popleft()
            if not told:
                del self._told[stream]
