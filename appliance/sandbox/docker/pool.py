"""Containers made ahead. Each serves one job and is destroyed: nothing of a job is ever met by another."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError
from appliance.sandbox.docker.blueprint import Blueprint
from appliance.sandbox.docker.engine import Container, Engine
from appliance.sandbox.docker.mounts import Mount

log = logging.getLogger(__name__)

_AT_ONCE = 4
_MOST_KINDS = 8


@dataclass(slots=True)
class _Kind:
    """Containers of one blueprint that wait, and when a job last wanted one (monotonic seconds)."""

    wanted_at: float
    ready: deque[Container] = field(default_factory=deque)
    coming: int = 0


class Pool:
    """Keeps ``size`` containers ready of each blueprint that a job used in the last ``idle`` seconds."""

    def __init__(self, engine: Engine, clock: Clock, *, size: int, idle: float) -> None:
        self._engine, self._clock = engine, clock
        self._size, self._idle = size, idle
        self._kinds: dict[Blueprint, _Kind] = {}
        self._making = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._doomed: set[str] = set()
        self._closed = False

    @property
    def ready(self) -> int:
        """How many containers wait."""
        return sum(len(kind.ready) for kind in self._kinds.values())

    async def take(
        self, blueprint: Blueprint, labels: Mapping[str, str], mounts: Sequence[Mount] = ()
    ) -> tuple[Container, bool]:
        """A container that waits for a job, the caller's to destroy; and whether it was made ahead."""
        kind = None if mounts else self._known(blueprint)
        while kind and kind.ready:
            container = kind.ready.popleft()
            if container.waits:
                self.later(self._refill(blueprint, kind))
                return container, True
            self.destroy(container)
        async with self._making:
            container = await self._engine.start(blueprint, labels, mounts)
        if kind:
            self.later(self._refill(blueprint, kind))
        return container, False

    def destroy(self, container: Container) -> None:
        """Take a container away, in the background."""
        container.stream.close()
        self._doomed.add(container.id)
        self.later(self._remove(container.id))

    async def tidy(self) -> None:
        """Destroy what nobody has wanted for long. Called every few seconds."""
        now = self._clock.monotonic()
        for blueprint, kind in list(self._kinds.items()):
            if now - kind.wanted_at > self._idle:
                del self._kinds[blueprint]
                self._empty(kind)
        for container in list(self._doomed):  # the engine may have been away when it was asked
            await self._engine.remove(container)
            self._doomed.discard(container)

    async def close(self) -> None:
        """Destroy all that wait, and return when they are gone."""
        self._closed = True
        for kind in self._kinds.values():
            self._empty(kind)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _known(self, blueprint: Blueprint) -> _Kind | None:
        if not self._size:
            return None
        kind = self._kinds.get(blueprint)
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                oldest = min(self._kinds, key=lambda known: self._kinds[known].wanted_at)
                self._empty(self._kinds.pop(oldest))
            kind = self._kinds[blueprint] = _Kind(self._clock.monotonic())
        kind.wanted_at = self._clock.monotonic()
        return kind

    async def _refill(self, blueprint: Blueprint, kind: _Kind) -> None:
        while len(kind.ready) + kind.coming < self._size and not self._closed:
            kind.coming += 1
            try:
                async with self._making:
                    container = await self._engine.start(blueprint, {})
            finally:
                kind.coming -= 1
            if self._closed or self._kinds.get(blueprint) is not kind:
                self.destroy(container)
                return
            kind.ready.append(container)

    async def _remove(self, container: str) -> None:
        await self._engine.remove(container)
        self._doomed.discard(container)

    def _empty(self, kind: _Kind) -> None:
        while kind.ready:
            self.destroy(kind.ready.popleft())

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Have it done in the background; what goes wrong with it is logged."""

        async def quietly() -> None:
            try:
                await work
            except MillwrightError as error:
                log.warning("%s", error)

        task = asyncio.create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
