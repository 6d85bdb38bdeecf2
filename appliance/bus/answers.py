"""What the broker still has to answer, by packet id."""

import asyncio
from typing import Any

from appliance.bus.errors import ConnectionLost


class Answers:
    """Futures of one connection. Each is done with the broker's reason codes, or raises ConnectionLost."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def __contains__(self, mid: int) -> bool:
        """Whether somebody waits for the answer to ``mid``."""
        return mid in self._waiting

    def expect(self, mid: int) -> "asyncio.Future[Any]":
        """The answer to packet ``mid``."""
        answer = self._waiting[mid] = self._loop.create_future()
        return answer

    def forget(self, mid: int) -> None:
        """Nobody waits for it any more."""
        self._waiting.pop(mid, None)

    def came(self, mid: int, reason: Any) -> None:
        answer = self._waiting.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(reason)

    def fail(self, reason: str) -> None:
        """The connection has ended: none of them will come."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionLost(f"the connection to the broker was lost: {reason}"))
                answer.exception()  # it may be that nobody waits
