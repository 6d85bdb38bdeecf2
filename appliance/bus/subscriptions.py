"""Which filters we want, which the broker's session holds, and the difference.

A persistent session keeps its filters while our process is away, and MQTT has no way to ask for them. They
are therefore written down, so that the next process can give back what it no longer wants: on NATS a
leftover filter that overlaps a new one doubles every message.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from appliance.bus.connection import Connection
from appliance.lib.atomic import write_atomically

log = logging.getLogger(__name__)

_PER_PACKET = 50


class Subscriptions:
    """The filters of one client."""

    def __init__(self, session_file: Path | None) -> None:
        self._file = session_file
        self._lock = asyncio.Lock()
        self.wanted: frozenset[str] = frozenset()
        self.held: set[str] = self._read()
        """What the broker's session has, as far as we know."""
        self.refused: frozenset[str] = frozenset()

    def forget(self) -> None:
        """The session is gone at the broker."""
        self.held = set()

    async def apply(self, connection: Connection) -> None:
        """Make the broker's session hold what is wanted. Raises ConnectionLost."""
        async with self._lock:
            # New ones first: a moment of overlap repeats a message, a gap would lose one.
            missing = sorted(self.wanted - self.held)
            refused: set[str] = set()
            if missing:
                self._write(self.held | set(missing))
            for start in range(0, len(missing), _PER_PACKET):
                granted = await connection.subscribe((f, 1) for f in missing[start : start + _PER_PACKET])
                refused |= {f for f, yes in granted.items() if not yes}
                self.held |= {f for f, yes in granted.items() if yes}
            surplus = sorted(self.held - self.wanted)
            if surplus:
                await connection.unsubscribe(surplus)
                self.held -= set(surplus)
            self.refused = frozenset(refused)
            if missing or surplus:
                self._write(self.held)
        if refused:
            log.error("the broker refused the filters %s", ", ".join(sorted(refused)))

    def _read(self) -> set[str]:
        if self._file is None:
            return set()
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            log.warning("the filters of the last session cannot be read: %s", error)
            return set()
        return {str(filter_) for filter_ in known} if isinstance(known, list) else set()

    def _write(self, filters: Iterable[str]) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, json.dumps(sorted(filters)).encode(), mode=0o600)
