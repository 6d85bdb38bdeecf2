"""What the bus gives to others, and what it asks of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came in. ``mid`` is the broker's packet id, 0 for QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    received_at: datetime
    broker: str = ""
    """The further broker that it came from; empty for the box's own."""
    queued: bool = False
    """Whether it came so soon after a log-in to a session of before that the broker may have kept it meanwhile."""

    @property
    def is_late(self) -> bool:
        """Whether it may have been published long before it came, nobody knows when."""
        return self.retain or self.queued


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for a client that goes away without a word."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


class Delivery(Protocol):
    """A message in our hands. The broker keeps it until ``ack``: call that after the commit."""

    @property
    def message(self) -> Message: ...

    def ack(self) -> None:
        """Tell the broker that the message is ours now. Safe from any thread, and when called twice."""
        ...


BatchHandler = Callable[[list[Delivery]], Awaitable[None]]
PoisonHandler = Callable[[Message, Exception], Awaitable[None]]


class Publisher(Protocol):
    """Who can publish: the client of the reactor, or a fake in a test."""

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, timeout: float = 10.0
    ) -> None:
        """Return when the broker has the message.

        Raises BusAway (try again later), TopicRefused, PayloadTooLarge.
        """
        ...


@dataclass(frozen=True, slots=True)
class BusHealth:
    """How a client is doing, for the overview page and /readyz."""

    client_id: str
    connected: bool
    since: datetime | None
    round_trip: float | None
    """Seconds of the last round trip over the client's own topic."""
    round_trip_at: datetime | None
    queue_depth: int
    in_hand: int
    """Messages delivered and not acknowledged yet."""
    paused: bool
    """Whether reading has stopped because the queue is full."""
    received: int
    published: int
    acknowledged: int
    duplicates_dropped: int
    poisoned: int
    """Messages that no attempt could handle; put on record, then acknowledged."""
    batch_failures: int
    callback_failures: int
    connections: int
    filters: frozenset[str]
    refused_filters: frozenset[str]
    last_error: str | None
