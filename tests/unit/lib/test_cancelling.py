"""A task that took no notice of its cancellation is cancelled again."""

import asyncio

from appliance.lib.cancelling import end


async def test_a_cancellation_that_was_forgotten_is_repeated() -> None:
    forgotten: list[str] = []

    async def forgets_once() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if forgotten:
                    raise
                forgotten.append("once")

    task = asyncio.create_task(forgets_once())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end({task})
    assert task.cancelled()
    assert forgotten == ["once"]


async def test_what_ended_by_itself_or_by_an_error_is_ended() -> None:
    async def fails() -> None:
        raise ValueError("a fault")

    async def is_over() -> None: ...

    tasks = {asyncio.create_task(fails()), asyncio.create_task(is_over())}
    await asyncio.sleep(0)
    await end(tasks)
    await end(set())
    assert all(task.done() for task in tasks)
