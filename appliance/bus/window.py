"""The messages that are in our hands: delivered by the broker, not acknowledged yet.

Three rules keep duplicates out without ever losing a message:

* On one connection, a message that comes again (dup) under the packet id of one that we hold is that one: NATS
  repeats what is not acknowledged within its ``ack_wait``, under the same packet id, as often as it takes.
* NATS takes acknowledgements one after another, and where it syncs to a slow disk that can take seconds. What
  falls due for a repeat meanwhile it repeats under a packet id of its own, which nothing tells from a twin. So
  what has been in our hands for long, because the database was away, is not acknowledged when it is settled, but
  when it comes again: from then on NATS has the whole time.
* After a reconnection the broker repeats all that it has no acknowledgement of. What we still hold was
  certainly never acknowledged, so a repeat with the same topic and payload is taken for it, once per message
  held, whatever its new packet id (NATS numbers afresh). A message whose acknowledgement may have been
  lost on the way is *not* remembered: to take a repeat for it could swallow a twin. The mark dup alone proves
  nothing: NATS also sets it on what it could not send the first time, for want of room.
"""

import time
from collections import defaultdict
from collections.abc import Callable

from appliance.bus.ports import Message

_FRESH = 0.25
"""The part of the time between repeats within which a message that has come is acknowledged at once."""
_IN_VAIN = 2
"""After as many times between repeats nobody waits for one any longer."""
MOST_UNTOLD = 500
"""Messages that wait for their repeat at one time: half of what the broker hands out before it is answered."""


class Held:
    """One delivery, as the rest of the product sees it (`ports.Delivery`)."""

    __slots__ = ("_settle", "came_at", "message", "mid", "settled")

    def __init__(self, message: Message, settle: Callable[["Held"], None]) -> None:
        self.message = message
        self.mid = message.mid
        """The packet id under which the broker waits now; 0 when it waits under none."""
        self.settled = False
        self.came_at = 0.0
        """When the broker last sent it, monotonic: it repeats the oldest first."""
        self._settle = settle

    def ack(self) -> None:
        self._settle(self)


class Window:
    """Bookkeeping of one client. Used from its loop only."""

    def __init__(
        self, settle: Callable[[Held], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settle = settle
        self._monotonic = monotonic
        self._held: dict[int, Held] = {}
        self._untold: dict[int, Held] = {}
        self._orphans: defaultdict[tuple[str, bytes], list[Held]] = defaultdict(list)
        self._repeats_every: float | None = None
        """Seconds, as the broker last showed; None while it has repeated nothing."""
        self.duplicates = 0

    def __len__(self) -> int:
        return len(self._held) + sum(len(orphans) for orphans in self._orphans.values())

    @property
    def untold(self) -> int:
        """Messages that are settled, and the broker is still to be told so."""
        return len(self._untold)

    def receive(self, message: Message) -> tuple[Held | None, int]:
        """What to hand over (None for a repeat), and the packet id to acknowledge at once (0 for none)."""
        if message.qos == 0:
            return Held(message, self._settle), 0
        if message.dup:
            repeated = self._held.get(message.mid)
            if repeated and _same(repeated.message, message):
                self.duplicates += 1
                return None, self._came_again(repeated)
            adopted = self._adopt(message)
            if adopted:
                self.duplicates += 1
                return None, message.mid if adopted.settled else 0
        held = Held(message, self._settle)
        self._hold(held, message.mid)
        return held, 0

    def _hold(self, held: Held, mid: int) -> None:
        held.mid, held.came_at = mid, self._monotonic()
        self._held[mid] = held
        # A packet id that the broker gives anew is one that it waits for no longer.
        self._untold.pop(mid, None)

    def _came_again(self, held: Held) -> int:
        """The packet id, if it is settled: this is the moment to acknowledge it."""
        now = self._monotonic()
        self._repeats_every, held.came_at = now - held.came_at, now
        if not held.settled:
            return 0
        self._forget(held)
        return held.mid

    def _forget(self, held: Held) -> None:
        del self._held[held.mid]
        self._untold.pop(held.mid, None)

    def _adopt(self, message: Message) -> Held | None:
        key = (message.topic, message.payload)
        orphans = self._orphans.get(key)
        if not orphans:
            return None
        adopted = orphans.pop(0)
        if not orphans:
            del self._orphans[key]
        if not adopted.settled:
            self._hold(adopted, message.mid)
        return adopted

    def settle(self, held: Held) -> bool:
        """Mark as ours; whether there is something to `tell` the broker."""
        if held.settled:
            return False
        held.settled = True
        if not self._is_held(held):
            return False
        self._untold[held.mid] = held
        return True

    def tell(self, *, everything: bool = False) -> list[int]:
        """The packet ids to acknowledge now, in the order in which their messages last came (MQTT 4.6).

        What will come again before the broker has surely taken its acknowledgement waits for that, those that will
        come first before all others, unless ``everything`` is asked for.
        """
        now, waiting, ready = self._monotonic(), 0, []
        for held in sorted(self._untold.values(), key=lambda held: held.came_at):
            if not everything and waiting < MOST_UNTOLD and self._waits(held, now):
                waiting += 1
            else:
                ready.append(held)
        for held in ready:
            self._forget(held)
        return [held.mid for held in ready]

    def _waits(self, held: Held, now: float) -> bool:
        every = self._repeats_every
        return every is not None and _FRESH * every < now - held.came_at < _IN_VAIN * every

    def _is_held(self, held: Held) -> bool:
        return held.mid != 0 and self._held.get(held.mid) is held

    def lose_connection(self) -> None:
        """The broker will repeat what we hold, also what was settled and not yet told."""
        for held in self._held.values():
            held.mid = 0
            self._orphans[(held.message.topic, held.message.payload)].append(held)
        self._held.clear()
        self._untold.clear()

    def lose_session(self) -> None:
        """The broker knows nothing of us: it will repeat nothing."""
        self._orphans.clear()


def _same(one: Message, other: Message) -> bool:
    return one.topic == other.topic and one.payload == other.payload
