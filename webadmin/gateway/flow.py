"""What keeps one client from costing the others anything: the window, the rate, the sockets of a token. Pure.

The server's transport takes whatever is sent, however slowly it is read. So the box stops by itself: a heartbeat goes
into the stream, and no event beyond the window follows it before it is answered.
"""

from collections import Counter

from appliance.outbox.domain import Bucket

HEARTBEAT_EVERY = 20.0
MARK_EVERY = 64 * 1024
"""Bytes after which a heartbeat goes out, however soon that is."""
WINDOW = 256 * 1024
PATIENCE = 30.0
"""Seconds for the answer to a heartbeat."""
RATE = 20.0
BURST = 60
MOST_REFUSED = 40
"""Frames beyond the rate, since one was let through, that end the connection."""
LARGEST_FRAME = 32 * 1024
MOST_SOCKETS = 5
HELLO_WITHIN = 10.0


class Window:
    """How far the client is behind, in bytes since the heartbeat that it last answered. Seconds are monotonic."""

    def __init__(self, now: float) -> None:
        self.n = 0
        self._behind = self._since = 0
        self._at = now
        self._open = False

    def sent(self, size: int) -> None:
        self._behind += size
        self._since += size

    @property
    def wants_mark(self) -> bool:
        return not self._open and self._since >= MARK_EVERY

    def is_due(self, now: float) -> bool:
        """Whether a heartbeat is to go out."""
        return self.wants_mark or (not self._open and now - self._at >= HEARTBEAT_EVERY)

    def mark(self, now: float) -> int:
        """The number of the heartbeat that goes out now."""
        self.n, self._at, self._open, self._since = self.n + 1, now, True, 0
        return self.n

    def answered(self, n: int) -> bool:
        """False for one that is not open: an old one, or one of another connection."""
        if not self._open or n != self.n:
            return False
        self._open, self._behind = False, self._since
        return True

    @property
    def is_full(self) -> bool:
        return self._behind >= WINDOW

    def is_late(self, now: float) -> bool:
        return self._open and now - self._at > PATIENCE


class Rate:
    """Frames of one client."""

    def __init__(self) -> None:
        self._bucket = Bucket()
        self._refused = 0

    def passes(self, now: float) -> bool:
        if not self._bucket.whole(now, RATE, BURST):
            self._refused += 1
            return False
        self._bucket.take()
        self._refused = 0
        return True

    @property
    def is_too_much(self) -> bool:
        """It does not mind being refused."""
        return self._refused > MOST_REFUSED

    @property
    def retry_after(self) -> float:
        return round(self._bucket.next_in(RATE) or 0.0, 3)


class Sockets:
    """How many sockets each token has in this process; the box has one web process."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    def take(self, token_id: int) -> bool:
        if self._open[token_id] >= MOST_SOCKETS:
            return False
        self._open[token_id] += 1
        return True

    def give_back(self, token_id: int) -> None:
        self._open[token_id] -= 1
        if self._open[token_id] <= 0:
            del self._open[token_id]
