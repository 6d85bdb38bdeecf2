"""What is kept of a job's output, and what is shown of it while it runs."""

from appliance.sandbox.process import wire

_LIVE_INTERVAL = 0.05
_LIVE_PIECE = 16 * 1024
_LIVE_TOTAL = 1 << 20
SKIPPED = b"\n[... %d bytes not shown live ...]\n"
NO_MORE = b"\n[... no more is shown live ...]\n"


class HeadTail:
    """The first half of ``limit`` bytes and the last half; between them only a count."""

    __slots__ = ("_head_limit", "_tail", "_tail_limit", "head", "total")

    def __init__(self, limit: int) -> None:
        self._head_limit = limit // 2
        self._tail_limit = limit - self._head_limit
        self.head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        room = self._head_limit - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self._tail += data
        # Trimmed when twice too long, not at each piece: a flood then costs one copy a byte, not many.
        if len(self._tail) > 2 * self._tail_limit:
            self._trim()

    @property
    def tail(self) -> bytes:
        """The last bytes of the stream that are not in ``head``."""
        self._trim()
        return bytes(self._tail)

    def _trim(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._tail_limit)]


class LiveFeed:
    """Turns output into live frames: at most 16 KiB of a stream each 50 ms, and 1 MiB of it in all."""

    __slots__ = ("_pending", "_sent", "_sent_at", "_skipped")

    def __init__(self) -> None:
        self._pending = {wire.OUTPUT: bytearray(), wire.ERRORS: bytearray()}
        self._skipped = {wire.OUTPUT: 0, wire.ERRORS: 0}
        self._sent = {wire.OUTPUT: 0, wire.ERRORS: 0}
        self._sent_at = float("-inf")

    def add(self, kind: bytes, data: bytes) -> None:
        """Take the next bytes of a stream."""
        if self._sent[kind] >= _LIVE_TOTAL:
            return
        pending = self._pending[kind]
        pending += data
        excess = len(pending) - _LIVE_PIECE
        if excess > 0:
            del pending[:excess]
            self._skipped[kind] += excess

    def due(self) -> float | None:
        """When the next frames may go out (monotonic seconds), or None when there is nothing to send."""
        return self._sent_at + _LIVE_INTERVAL if any(self._pending.values()) else None

    def take(self, now: float) -> bytes:
        """The frames to send now."""
        frames = b""
        for kind, pending in self._pending.items():
            if pending:
                text = bytes(pending)
                pending.clear()
                if self._skipped[kind]:
                    text = SKIPPED % self._skipped[kind] + text
                    self._skipped[kind] = 0
                self._sent[kind] += len(text)
                if self._sent[kind] >= _LIVE_TOTAL:
                    text += NO_MORE
                frames += wire.frame(kind, text)
        self._sent_at = now
        return frames
