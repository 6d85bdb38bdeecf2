"""The router of a process: made in a thread after the start, made anew when the box has changed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from appliance.agent.router.knowledge import Knowledge, World, build
from appliance.agent.router.router import Router
from appliance.agent.router.way import Proposer

PAUSE = 0.005
"""Seconds between two pieces of a build, in which everything else of the process goes on."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the world comes from: ``load`` reads it whole, ``revision`` says cheaply whether it has changed."""

    load: Callable[[], World]
    revision: Callable[[], tuple[object, ...]]


class WarmRouter:
    """``wanted`` and ``make`` again and again, each in its thread; ``router`` is there for everybody at once."""

    def __init__(
        self,
        source: Source,
        proposers: tuple[Proposer, ...] = (),
        pause: Callable[[], None] = lambda: time.sleep(PAUSE),
    ) -> None:
        self._source = source
        self._proposers = proposers
        self._pause = pause
        self._making = Lock()
        self._router: Router | None = None

    @property
    def is_warm(self) -> bool:
        return self._router is not None

    def wanted(self) -> World | None:
        """What there is, where the router knows something else. It reads tables: in Django's thread."""
        current = self._router
        if current is not None and current.knowledge.world.revision == self._source.revision():
            return None
        return self._source.load()

    def make(self, world: World) -> None:
        """Takes a second or more with its pauses: in a thread of its own. Who asks meanwhile gets the one before."""
        with self._making:
            self._router = self._made(build(world, self._pause))

    def refresh(self) -> bool:
        """Both at once; whether there was something to do."""
        world = self.wanted()
        if world is not None:
            self.make(world)
        return world is not None

    def router(self) -> Router:
        """The one that is there; made at once, without pauses, where nobody has made one yet."""
        current = self._router
        if current is not None:
            return current
        with self._making:
            if self._router is None:
                self._router = self._made(build(self._source.load()))
            return self._router

    def _made(self, knowledge: Knowledge) -> Router:
        return Router(knowledge, self._proposers)
