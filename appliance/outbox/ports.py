"""What the outbox takes, and what it needs of the layers above."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from appliance.lib.identity import time_of, uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import OutboxRefused


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """An effect to be delivered. ``key`` names it for ever: a second one with the same key is the same item.

    ``conversation`` None means the platform's default one. ``at`` fixes the time that its identifier carries;
    an item of a run takes the run's. ``expires_at`` None means 24 hours from now, or from the end of a hold; where
    one is given, it binds. ``about`` names its kind, as ``task/overheat/tell``: what is about the same may be told
    together, or be held or muted; empty: it always stands alone, and is never held.
    """

    key: str
    platform: str
    message: JsonObject
    conversation: str | None = None
    run_id: UUID | None = None
    step_id: str | None = None
    expires_at: datetime | None = None
    priority: int = 0
    at: datetime | None = None
    about: str = ""

    @property
    def id(self) -> UUID:
        """The one identifier of this key: the primary key makes the row unique. Raises OutboxRefused."""
        at = self.at or (time_of(self.run_id) if self.run_id else None)
        if at is None:
            raise OutboxRefused(f"the item {self.key!r} has neither a run nor a time of its own")
        return uuid_at(at, "outbox", self.key)


@dataclass(frozen=True, slots=True)
class DigestRule:
    """When what is about the same leaves as one message: from the message after the first ``after`` on, in any
    ``within`` seconds to one target. ``edits``: the platform can let a digest take the place of the one before."""

    after: int = 5
    within: float = 60.0
    edits: bool = False


@dataclass(frozen=True, slots=True)
class Digest:
    """A parcel that stands for ``count`` messages about the same since ``since``; its own words are the last one's.

    ``expired`` more were never sent. ``replaces`` is the item that the digest before it was delivered for, where it
    is to take its place: ``count`` and ``expired`` then hold for both.
    """

    count: int
    since: datetime
    expired: int = 0
    replaces: UUID | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed item on its way. ``parts_done`` parts of a split message were confirmed before."""

    id: UUID
    key: str
    platform: str
    conversation: str | None
    message: JsonObject
    attempt: int
    parts_done: int
    repeat_possible: bool
    run_id: UUID | None
    step_id: str
    about: str = ""
    priority: int = 0
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A better time for an item than now: ``until`` at the latest, then it is asked again.

    It is one for everything to the same target that is less urgent than ``below`` (a rank of Priority) and about
    ``about`` or something below it; empty: about anything. ``reason`` says it to people.
    """

    until: datetime
    reason: str
    below: int
    about: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform's confirmation. ``detail`` says ``edited`` where an earlier message was replaced, and how many of
    ``message_ids``, the first ones, are ``texts`` where others are files."""

    platform: str
    conversation: str
    message_ids: tuple[str, ...]
    at: datetime
    note: str = ""
    detail: JsonObject = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        return {**asdict(self), "message_ids": list(self.message_ids), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Target:
    """One conversation of a platform that has items waiting or held; the last three are those of the item that is
    next, or of a held one where nothing else waits."""

    platform: str
    conversation: str
    waiting: int
    held: int
    since: datetime
    state: str
    next_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a platform may be spoken to: messages a second, how many of them at once after a silence, and
    seconds between two to one target."""

    per_second: float | None = None
    interval: float = 0.0
    burst: float = 1.0


class Courier(Protocol):
    """Carries a parcel to its platform; the bridges' hub."""

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Give the parcel to the platform and wait for its confirmation. Raises DeliveryError."""
        ...

    async def hold_until(self, parcel: Parcel, now: datetime) -> Hold | None:
        """Whether there is a better time for it than now. Asked before ``deliver``, of a parcel that is about
        something."""
        ...

    def pace(self, platform: str, conversation: str | None) -> Pace: ...

    def digests(self, platform: str) -> DigestRule | None:
        """How storms are told there; None: each message by itself."""
        ...


class ReceiptListener(Protocol):
    """Told what became of a run's item, at least once; must not mind a repeat."""

    async def delivered(self, run_id: UUID, step_id: str, receipt: JsonObject) -> None: ...

    async def failed(self, run_id: UUID, step_id: str, error: str) -> None: ...
