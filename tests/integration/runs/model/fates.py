"""What may become of a worker in the middle of a run, and a worker to which it happens."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.runs.domain import Lease
from appliance.runs.performer import Performer
from appliance.runs.plan import Next
from appliance.runs.walk import Pause, Walk


class Fate(StrEnum):
    """What becomes of a worker at an effect of its run."""

    GOES_ON = "goes_on"
    DIES_BEFORE = "dies_before"
    DIES_AFTER = "dies_after"
    STALLS_UNPROVEN = "stalls_unproven"
    """Between the intent and the look at its lease: it sees that it lost the run, and does not act."""
    STALLS_BEFORE = "stalls_before"
    """After that look, when nothing can hold it back any more."""
    STALLS_AFTER = "stalls_after"
    FAILS = "fails"


class Died(BaseException):
    """The process is gone: nothing after this is written."""


@dataclass
class Stalled:
    """A run in the hands of a worker that stands still in the middle of an effect."""

    worker: int
    row: Any
    lease: Lease
    work: "asyncio.Task[None]"
    go_on: asyncio.Event
    fate: Fate


class StallingPerformer(Performer):
    """The product's own, with a place to stand still between the intent and the look at the lease."""

    def __init__(self, *parts: Any, before_acting: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(*parts)
        self._before_acting = before_acting

    async def _act(self, walk: Walk, following: Next, *rest: Any) -> Pause | None:
        await self._before_acting(following.spec.id)
        return await super()._act(walk, following, *rest)
