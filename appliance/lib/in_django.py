"""Django's ORM from an event loop: in a thread, with a connection that is looked at before and after.

Requests do that by a signal; a loop has none, and a connection that the database ended would stay dead for ever.

``in_django`` is for what a process does itself, one thing after another. ``Apart`` is for what others ask for and may
wait long (a lock, a run to begin): in the one thread that all share, each would wait for all before it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_django(work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    """Call ``work`` in Django's thread of this process."""
    return await sync_to_async(_looked_after(work))(*arguments, **named)


class Apart:
    """Call it as ``in_django``. Without threads of its own it uses those of the loop."""

    def __init__(self, threads: ThreadPoolExecutor | None = None) -> None:
        self._threads = threads

    async def __call__(self, work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
        call = sync_to_async(_looked_after(work), thread_sensitive=False, executor=self._threads)
        return await call(*arguments, **named)


def _looked_after(work: Callable[P, T]) -> Callable[P, T]:
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        close_old_connections()
        try:
            return work(*arguments, **named)
        finally:
            close_old_connections()

    return call
