"""Invariants of the box, one module each: what must be, what finds where it is not, and what brings it about (P8).

A module says ``SAYS``, a sentence that names the invariant on the audit record, ``FINDS``, the query for what is not
so, and has ``repair``. Being here is all that it takes to be looked at twice a minute.
"""

import importlib
import pkgutil
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from psycopg import AsyncConnection

from appliance.lib.clock import Clock

T = TypeVar("T", bound=Hashable)

Repaired = tuple[object, str]
"""Whom it was about, and what was done."""
AT_ONCE = 1000
"""What one look repairs at most, so that it is one short commit; the next look goes on."""


@dataclass(slots=True)
class Watch:
    """What one process remembers from look to look; another one begins anew, and loses nothing by it."""

    clock: Clock
    patience: float = 0.0
    """Seconds for which a lease must have been out, unchanged. A clock that was set forward, or a database that was
    away, ends all leases at once; who lives renews them."""
    since: dict[str, dict[Any, float]] = field(default_factory=dict)
    places: dict[str, UUID] = field(default_factory=dict)
    """Where an invariant that looks at a piece at a time goes on."""

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def lasting(self, what: str, found: Iterable[T]) -> list[T]:
        """Those that were found by every look for the patience, this one included."""
        now, before = self.clock.monotonic(), self.since.get(what, {})
        seen = {one: before.get(one, now) for one in found}
        self.since[what] = {**seen}
        return [one for one, since in seen.items() if now - since >= self.patience]


class Invariant(Protocol):
    """One module. ``repair`` runs in a transaction of its own and may run anywhere, any time, twice.

    With ``BY_ITSELF = True`` it is not in a transaction: what it does has its own.
    """

    @property
    def SAYS(self) -> str: ...  # noqa: N802  # the name of a module's constant
    @property
    def FINDS(self) -> str: ...  # noqa: N802

    async def repair(self, connection: AsyncConnection[Any], watch: Watch, /) -> Sequence[Repaired]: ...


@cache
def invariants() -> tuple[Invariant, ...]:
    """All of them, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(cast(Invariant, importlib.import_module(f"{__name__}.{name}")) for name in names)
