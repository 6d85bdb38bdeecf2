"""Invariants of the ledger, one module each: what must be, and what brings it about where it is not (P8).

A module says ``SAYS``, a sentence that names the invariant on the audit record, and has ``repair``. Being here is all
that it takes to be looked at twice a minute.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Protocol, cast

from psycopg import AsyncConnection

Repaired = tuple[object, str]
"""Whom it was about, and what was done."""


class Invariant(Protocol):
    """One module. ``repair`` runs in a transaction of its own and may run anywhere, any time, twice."""

    @property
    def SAYS(self) -> str: ...  # noqa: N802  # the name of a module's constant

    async def repair(self, connection: AsyncConnection[Any], now: datetime, /) -> Sequence[Repaired]: ...


@cache
def invariants() -> tuple[Invariant, ...]:
    """All of them, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(cast(Invariant, importlib.import_module(f"{__name__}.{name}")) for name in names)
