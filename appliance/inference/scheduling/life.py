"""One life of an engine, from its start to its end: a task that looks, and says what it sees."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from appliance.inference.backends.contract import Backend, Plan, Readiness, Running, Sign, Stats
from appliance.inference.scheduling.ports import Served, Trial
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

LOOK_LOADING, LOOK_READY = 0.25, 2.0
GRACE = 10.0
"""Seconds for an engine to end by itself."""


@dataclass(frozen=True, slots=True)
class End:
    """Why a life ended before anybody wished it."""

    reason: str
    exit_status: int | None = None
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a life tells what it sees. Called in the keeper's loop; none waits."""

    started: Callable[[Running], None]
    progress: Callable[[str], None]
    ready: Callable[[], None]
    bad: Callable[[str], None]
    """It did not answer as it should; it goes on."""
    good: Callable[[], None]
    """A real completion came."""
    ended: Callable[[End], None]
    idle: Callable[[float], bool]
    """Whether nobody had an answer for so many seconds, so that a trial is in order."""
    took: Callable[[Stats], None]
    """What it says of itself after an answer."""


class Life:
    """``adopted``: an engine that runs already, of an earlier life of the box."""

    TRIAL_EVERY = 60.0

    def __init__(
        self,
        served: Served,
        backend: Backend,
        plan: Plan,
        trial: Trial,
        clock: Clock,
        told: Told,
        *,
        adopted: Running | None = None,
    ) -> None:
        self._served = served
        self._backend = backend
        self._plan = plan
        self._trial = trial
        self._clock = clock
        self._told = told
        self._running = adopted

    async def live(self, generation: Callable[[], Awaitable[int]]) -> None:
        """Until it ends or is cancelled; whoever cancels stops the engine."""
        try:
            if self._running is None:
                self._running = await self._backend.start(self._plan, await generation())
            self._told.started(self._running)
            ready = await self._loaded(self._running)
            if ready is not None:
                await self._watched(ready)
        except MillwrightError as error:
            self._told.ended(End(str(error)))
        except OSError as error:
            self._told.ended(End(f"it could not be started: {error}"))
        except Exception:
            log.exception("the engine of %s broke", self._served.name)
            self._told.ended(End("its backend broke; the box's log says where"))

    async def end(self) -> None:
        """Stop what was started; what cannot be stopped now is found again at the next start of the box."""
        if self._running is None:
            return
        try:
            await self._backend.stop(self._running, GRACE)
        except (MillwrightError, OSError) as error:
            log.warning("%s does not stop: %s", self._running.name, error)

    async def _loaded(self, running: Running) -> Running | None:
        """Wait until it is ready and has shown it; None when it ended instead."""
        progress, since = "", self._clock.monotonic()
        while True:
            seen = await self._backend.ready(running)
            if seen.sign is Sign.GONE:
                self._told.ended(_end(seen))
                return None
            now = self._clock.monotonic()
            if seen.sign is Sign.READY:
                if seen.url and seen.url != running.url:
                    running = self._running = replace(running, url=seen.url)
                    self._told.started(running)
                wrong = await self._trial.completes(self._served, running)
                if not wrong:
                    self._told.ready()
                    return running
                seen = Readiness(Sign.LOADING, f"it says that it is ready, and is not: {wrong}")
            if seen.progress != progress:
                progress, since = seen.progress, now
                self._told.progress(progress)
            elif now - since >= self._plan.stall:
                self._told.ended(
                    End(f"no progress for {self._plan.stall:.0f} s; the last: {progress or 'none'}")
                )
                return None
            await asyncio.sleep(LOOK_LOADING)

    async def _watched(self, running: Running) -> None:
        tried = self._clock.monotonic()
        await self._weigh(running)
        while True:
            await asyncio.sleep(LOOK_READY)
            seen = await self._backend.ready(running)
            if seen.sign is Sign.GONE:
                self._told.ended(_end(seen))
                return
            now = self._clock.monotonic()
            if seen.sign is Sign.LOADING:
                self._told.bad(seen.progress or "it says that it is not ready any more")
            elif now - tried >= self.TRIAL_EVERY and self._told.idle(self.TRIAL_EVERY):
                tried = now
                wrong = await self._trial.completes(self._served, running)
                self._told.bad(wrong) if wrong else self._told.good()
                await self._weigh(running)

    async def _weigh(self, running: Running) -> None:
        """What it takes with weights and conversations in place. One that does not say is as well as before."""
        try:
            self._told.took(await self._backend.stats(running))
        except (MillwrightError, OSError, ValueError, ArithmeticError) as error:
            log.debug("%s does not say what it takes: %s", running.name, error)


def _end(seen: Readiness) -> End:
    reason = seen.reason or f"it ended with status {seen.exit_status}"
    return End(reason, seen.exit_status, seen.out_of_memory)
