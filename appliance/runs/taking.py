"""Which runs a worker takes: those that it hears of while there is room for all, else those that are next in line."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from appliance.runs.background import once

CATCH_UP_EVERY = 0.01


class Taking:
    """``following(room)`` gives up to so many runs that are next, and whether more wait; ``room()`` is how many can be
    taken now; ``take`` takes one, if it is not taken already.

    While more wait than there is room for, a hint takes no place by itself: who hints loudest would have every one that
    becomes free, and tasks could not take turns.
    """

    def __init__(
        self,
        following: Callable[[int], Awaitable[tuple[list[UUID], bool]]],
        room: Callable[[], int],
        take: Callable[[UUID], None],
    ) -> None:
        self._following = following
        self._room = room
        self._take = take
        self._more_wait = False
        self._heard = False
        """Whether a hint was left to the queue since the last look began, which may not have seen its run."""
        self.catching_up: asyncio.Task[None] | None = None

    def hear(self, run_id: UUID) -> None:
        """A hint: take the run, or see to it that its turn comes."""
        if not self._more_wait and self._room() > 0:
            self._take(run_id)
        else:
            self._more_wait = self._heard = True
            self.go_on()

    async def look(self) -> None:
        """Take from the queue what there is room for."""
        if self._room() <= 0:
            return
        self._heard = False
        found, more = await self._following(self._room())
        for run_id in found:
            # A hint may have taken a place meanwhile.
            if self._room() <= 0:
                more = True
                break
            self._take(run_id)
        self._more_wait = more or self._heard

    def go_on(self) -> None:
        """There may be room again: where more wait, take them up."""
        if self._more_wait and self._room() > 0 and (self.catching_up is None or self.catching_up.done()):
            self.catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        while self._more_wait and self._room() > 0:
            if not await once(self.look):
                return
            # What ends meanwhile shares the next look.
            await asyncio.sleep(CATCH_UP_EVERY)
