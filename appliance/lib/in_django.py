"""Django's ORM from an event loop: in a thread, with a connection that is looked at before and after.

Requests do that by a signal; a loop has none, and a connection that the database ended would stay dead for ever.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_django(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call ``work`` in Django's thread of this process."""

    def call() -> T:
        close_old_connections()
        try:
            return work(*arguments, **named)
        finally:
            close_old_connections()

    return await sync_to_async(call)()
