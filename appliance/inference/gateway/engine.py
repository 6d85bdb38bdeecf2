"""The way to engines: connections that are used again, and answers as the bytes that come."""

import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.gateway.wire import Connection, EngineBroken, Place
from appliance.inference.leases import Granted
from appliance.lib.authorities import authorities_with
from appliance.lib.jsontypes import JsonObject

_REST = 3.0
"""Seconds that a connection is kept for the next request; engines hang up after five."""
_LONGEST_REFUSAL = 64 << 10


@dataclass(frozen=True, slots=True)
class Reply:
    """``pieces`` raises EngineBroken where the connection breaks before the end of the answer."""

    status: int
    pieces: AsyncIterator[bytes]

    async def refusal(self) -> bytes:
        """The beginning of a body that says what was wrong."""
        found = b""
        async for piece in self.pieces:
            found += piece
            if len(found) >= _LONGEST_REFUSAL:
                break
        return found[:_LONGEST_REFUSAL]


class Engines:
    """``ca``: a file of authorities that vouch for engines elsewhere, beside the usual ones."""

    def __init__(self, ca: Path | None = None) -> None:
        self._ca = ca
        self._resting: dict[Place, list[tuple[float, Connection]]] = {}

    async def post(self, stack: AsyncExitStack, granted: Granted, path: str, body: JsonObject) -> Reply:
        """The beginning of an answer. Leaving ``stack`` hangs up, by which engines stop. Raises EngineBroken."""
        place = Place.of(granted.url)
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        connection = self._rested(place)
        if connection is not None:
            stack.callback(self._give_back, place, connection)
            try:
                return Reply(*await connection.post(path, granted.key, content))
            except EngineBroken as error:
                # It may have hung up while nobody looked, which says nothing of the engine.
                if isinstance(error.__cause__, TimeoutError):
                    raise
        connection = await Connection.open(place, self._secure() if place.secure else None)
        stack.callback(self._give_back, place, connection)
        return Reply(*await connection.post(path, granted.key, content))

    def close(self) -> None:
        for resting in self._resting.values():
            for _, connection in resting:
                connection.close()
        self._resting.clear()

    def _secure(self) -> ssl.SSLContext:
        try:
            return authorities_with(self._ca)
        except OSError as error:
            raise EngineBroken(f"the authorities in {self._ca} cannot be read") from error

    def _rested(self, place: Place) -> Connection | None:
        resting = self._resting.get(place, [])
        while resting:
            since, connection = resting.pop()
            if connection.alive and time.monotonic() - since < _REST:
                return connection
            connection.close()
        return None

    def _give_back(self, place: Place, connection: Connection) -> None:
        """For the next request where the answer is at its end; else hang up."""
        now = time.monotonic()
        if connection.free and connection.alive:
            self._resting.setdefault(place, []).append((now, connection))
        else:
            connection.close()
        self._sweep(now)

    def _sweep(self, now: float) -> None:
        """Of each place the oldest stand first."""
        for place, resting in list(self._resting.items()):
            while resting and now - resting[0][0] >= _REST:
                resting.pop(0)[1].close()
            if not resting:
                del self._resting[place]
