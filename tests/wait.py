"""Waiting for something to become true, never for time to pass."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

_STEP = 0.02


def wait_for(predicate: Callable[[], Any], timeout: float = 10.0, what: str = "") -> Any:
    """Call ``predicate`` until it gives something true, and give that. AssertionError after ``timeout``."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or inspect.getsource(predicate).strip()}")
        time.sleep(_STEP)


async def wait_for_async(
    predicate: Callable[[], Any | Awaitable[Any]], timeout: float = 10.0, what: str = ""
) -> Any:
    """The same for a test that runs in a loop; ``predicate`` may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or inspect.getsource(predicate).strip()}")
        await asyncio.sleep(_STEP)
