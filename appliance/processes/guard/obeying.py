"""Guard and the all-stop: the kernel's cut first, and then the jobs that still run."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from appliance.safety.stop import Level
from appliance.sandbox.errors import SandboxUnavailable

log = logging.getLogger(__name__)

STOP_LOOK = 0.1
STOP_GRACE = 0.3
"""Seconds that whoever asked for a job has to end it himself, when the all-stop stands."""


class Obeying:
    """Kills the jobs that run a moment after the all-stop says so, and keeps egress cut while it stands.

    Containers that wait in the pool have run nothing, and stay. Whether ``jobs`` run is asked first; ``kill`` waits
    for the engine, which may hang, and nothing else waits for it.
    """

    def __init__(
        self,
        level: Callable[[], Level],
        set_cut: Callable[[bool], None],
        jobs: Callable[[], bool],
        kill: Callable[[], Awaitable[int]],
    ) -> None:
        self._level = level
        self._set_cut = set_cut
        self._jobs = jobs
        self._kill = kill
        self._stopped: float | None = None
        self._killing: asyncio.Task[None] | None = None
        self._said = ""

    async def forever(self) -> None:
        """Until it is cancelled; whatever fails is tried again in the next round."""
        try:
            while True:
                try:
                    self._look()
                    self._said = ""
                except Exception as error:
                    if self._said != (said := repr(error)):  # once, and not ten times a second
                        log.exception("the all-stop could not be obeyed in whole")
                    self._said = said
                await asyncio.sleep(STOP_LOOK)
        finally:
            if self._killing is not None:
                self._killing.cancel()

    def _look(self) -> None:
        level = self._level()
        now = asyncio.get_running_loop().time()
        self._stopped = (self._stopped or now) if level.rank >= Level.KILL.rank else None
        try:
            self._set_cut(level.rank >= Level.CUT.rank)
        finally:
            due = self._stopped is not None and now - self._stopped >= STOP_GRACE
            if due and self._jobs() and (self._killing is None or self._killing.done()):
                self._killing = asyncio.create_task(self._end_jobs())

    async def _end_jobs(self) -> None:
        try:
            log.warning("all-stop: %d job(s) killed", await self._kill())
        except SandboxUnavailable:
            pass  # said by whoever tidies up
        except Exception:
            log.exception("the all-stop could not kill every job")
