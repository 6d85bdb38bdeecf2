"""Live output of running steps to the browser: best effort, the committed output is the truth."""

import asyncio
from typing import Any, Protocol

FLUSH_EVERY = 0.2
KEEP = 16 * 1024


class Broadcast(Protocol):
    def broadcast(self, group: str, message: dict[str, Any]) -> None:
        """Send to a Channels group without waiting and without raising."""
        ...


class LiveOutput:
    """Collects chunks per step and sends them at most five times a second, the newest 16 KiB of each."""

    def __init__(self, target: Broadcast) -> None:
        self._target = target
        self._pending: dict[tuple[str, str, str], bytearray] = {}
        self._flush: asyncio.TimerHandle | None = None

    def emit(self, run_id: str, step: str, stream: str, data: bytes) -> None:
        """Take a chunk. Must be called on the loop."""
        buffer = self._pending.setdefault((run_id, step, stream), bytearray())
        buffer += data
        del buffer[:-KEEP]
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._send)

    def _send(self) -> None:
        self._flush = None
        pending, self._pending = self._pending, {}
        for (run_id, step, stream), data in pending.items():
            message = {
                "type": "run.output",
                "run": run_id,
                "step": step,
                "stream": stream,
                "text": bytes(data).decode(errors="replace"),
            }
            self._target.broadcast(f"run.{run_id}", message)
