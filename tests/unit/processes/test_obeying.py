"""Guard obeys the all-stop, whatever else fails or hangs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from appliance.processes.guard.obeying import Obeying
from appliance.safety.stop import Level

SECONDS = 10


class Kernel:
    """Notes what it is told, and can fail."""

    def __init__(self) -> None:
        self.cut: list[bool] = []
        self.told = asyncio.Event()
        self.fails = 0

    def set_cut(self, cut: bool) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the table is away")
        self.cut.append(cut)
        if cut:
            self.told.set()


@asynccontextmanager
async def obeyed(
    kernel: Kernel, level: Callable[[], Level], kill: Callable[[], Awaitable[int]]
) -> AsyncIterator[None]:
    task = asyncio.create_task(Obeying(level, kernel.set_cut, lambda: True, kill).forever())
    try:
        async with asyncio.timeout(SECONDS):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_engine_that_hangs_does_not_delay_the_cut() -> None:
    kernel, hangs, levels = Kernel(), asyncio.Event(), [Level.KILL]

    async def kill() -> int:
        hangs.set()
        await asyncio.Event().wait()
        return 0

    async with obeyed(kernel, lambda: levels[-1], kill):
        await hangs.wait()
        levels.append(Level.CUT)
        await kernel.told.wait()


async def test_an_engine_that_refuses_and_a_kernel_that_fails_are_tried_again() -> None:
    kernel, killed, tries = Kernel(), asyncio.Event(), []
    kernel.fails = 1

    async def kill() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("cannot kill container")
        killed.set()
        return 1

    async with obeyed(kernel, lambda: Level.CUT, kill):
        await kernel.told.wait()
        await killed.wait()


async def test_jobs_are_killed_though_the_kernel_always_fails() -> None:
    kernel, killed = Kernel(), asyncio.Event()
    kernel.fails = 1_000_000

    async def kill() -> int:
        killed.set()
        return 1

    async with obeyed(kernel, lambda: Level.CUT, kill):
        await killed.wait()
    assert not kernel.cut
