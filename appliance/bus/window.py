"""The messages that are in our hands: delivered by the broker, not acknowledged yet.

Two rules keep duplicates out without ever losing a message:

* On one connection, a message that comes again (dup) under the packet id of one we still hold is that one:
  NATS repeats what is not acknowledged within 30 s.
* After a reconnection the broker repeats all that it has no acknowledgement of. What we still hold was
  certainly never acknowledged, so a repeat with the same topic and payload is taken for it, once per message
  held, whatever its new packet id (NATS numbers afresh). A message whose acknowledgement may have been
  lost on the way is *not* remembered: to take a repeat for it could swallow a twin.
"""

from collections import defaultdict
from collections.abc import Callable

from appliance.bus.ports import Message


class Held:
    """One delivery, as the rest of the product sees it (`ports.Delivery`)."""

    __slots__ = ("_settle", "message", "mid", "settled")

    def __init__(self, message: Message, settle: Callable[["Held"], None]) -> None:
        self.message = message
        self.mid = message.mid
        """The packet id under which the broker waits now; 0 when it waits under none."""
        self.settled = False
        self._settle = settle

    def ack(self) -> None:
        self._settle(self)


class Window:
    """Bookkeeping of one client. Used from its loop only."""

    def __init__(self, settle: Callable[[Held], None]) -> None:
        self._settle = settle
        self._held: dict[int, Held] = {}
        self._orphans: defaultdict[tuple[str, bytes], list[Held]] = defaultdict(list)
        self.duplicates = 0

    def __len__(self) -> int:
        return len(self._held) + sum(len(orphans) for orphans in self._orphans.values())

    def receive(self, message: Message) -> tuple[Held | None, int]:
        """What to hand over (None for a repeat), and the packet id to acknowledge at once (0 for none)."""
        if message.qos == 0:
            return Held(message, self._settle), 0
        if message.dup:
            repeated = self._held.get(message.mid)
            if repeated and _same(repeated.message, message):
                self.duplicates += 1
                return None, 0
            adopted = self._adopt(message)
            if adopted:
                self.duplicates += 1
                return None, message.mid if adopted.settled else 0
        held = Held(message, self._settle)
        self._held[message.mid] = held
        return held, 0

    def _adopt(self, message: Message) -> Held | None:
        key = (message.topic, message.payload)
        orphans = self._orphans.get(key)
        if not orphans:
            return None
        adopted = orphans.pop(0)
        if not orphans:
            del self._orphans[key]
        if not adopted.settled:
            adopted.mid = message.mid
            self._held[message.mid] = adopted
        return adopted

    def settle(self, held: Held) -> int:
        """Mark as ours; give the packet id to acknowledge, or 0 if the broker waits for none."""
        if held.settled:
            return 0
        held.settled = True
        if held.mid and self._held.get(held.mid) is held:
            del self._held[held.mid]
            return held.mid
        return 0

    def lose_connection(self, unsent: list[Held]) -> None:
        """The broker will repeat what we hold, and what was settled but not yet told (``unsent``)."""
        for held in [*unsent, *self._held.values()]:
            held.mid = 0
            self._orphans[(held.message.topic, held.message.payload)].append(held)
        self._held.clear()

    def lose_session(self) -> None:
        """The broker knows nothing of us: it will repeat nothing."""
        self._orphans.clear()


def _same(one: Message, other: Message) -> bool:
    return one.topic == other.topic and one.payload == other.payload
