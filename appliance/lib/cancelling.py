"""Ending tasks of the loop for certain."""

import asyncio
from typing import Any

AGAIN = 0.1
"""Seconds until a task is cancelled once more."""


async def end(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel the tasks until they are done.

    Once is not enough for what waits in psycopg: ``asyncio.wait_for`` before Python 3.12 forgets a cancellation that
    comes together with what it waits for. https://github.com/python/cpython/issues/86296
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()  # told by the task itself, or of no interest any more
