"""What the sync core needs of its surroundings: the other box, and this box's database."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from appliance.cache.wire import Answers, Changes
from appliance.lib.jsontypes import JsonObject


class Cursor(Protocol):
    """A cursor of psycopg or of Django, default row factory."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


Transaction = Callable[[], AbstractContextManager[Cursor]]
"""Begins a transaction, commits it at the end, or rolls it back at an exception."""


class Peer(Protocol):
    """The other box. Each call may raise PeerAway or PeerRefused, and may have been heard all the same."""

    def changes(self, after: str, prefixes: Sequence[str], limit: int) -> Changes:
        """What changed there after a position; the empty one is the beginning."""
        ...

    def push(self, messages: Sequence[JsonObject]) -> Answers:
        """Offer writes. Raises MessageRefused where the whole call was refused because of what is in it."""
        ...
