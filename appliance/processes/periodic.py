"""Background jobs of one loop: each is isolated, and goes on after any error."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from appliance.lib.away import DATABASE_AWAY
from appliance.runs.intake import NotArmed

log = logging.getLogger(__name__)


class Periodic:
    """Starts jobs, and ends them all together."""

    def __init__(self) -> None:
        self._jobs: list[asyncio.Task[None]] = []

    def every(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        """Do ``work`` now, and again ``seconds`` after each end."""
        self.go_on(_forever(seconds, work))

    def go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that does not end by itself."""
        self._jobs.append(asyncio.create_task(work))

    async def stop(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)


async def _forever(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    while True:
        try:
            await work()
        except (*DATABASE_AWAY, NotArmed) as error:
            log.warning("waiting for the database: %s", error)
        except Exception:
            log.exception("background job %r goes on after an error", getattr(work, "__name__", work))
        await asyncio.sleep(seconds)
