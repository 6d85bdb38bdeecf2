"""The last look at the machine, for those who ask often: screens, programs, the doctor."""

import time
from collections.abc import Callable
from threading import Lock

from appliance.inference.hardware.detecting import look
from appliance.inference.hardware.domain import Hardware

EVERY = 5.0
"""Seconds that an answer is good for."""


class LastLook:
    """Looks at most every ``every`` seconds. Who asks while somebody looks gets the answer before, at once."""

    def __init__(
        self,
        look: Callable[[], Hardware] = look,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._every, self._clock = look, every, clock
        self._lock = Lock()
        self._last: tuple[float, Hardware] | None = None

    def get(self) -> Hardware:
        """Blocks while it looks: for a thread."""
        last = self._last
        if last is not None and (
            self._clock() - last[0] < self._every or not self._lock.acquire(blocking=False)
        ):
            return last[1]
        if last is None:
            self._lock.acquire()
        try:
            if self._last is last:
                found = self._look()
                self._last = (self._clock(), found)
            assert self._last is not None
            return self._last[1]
        finally:
            self._lock.release()


this_machine = LastLook()
