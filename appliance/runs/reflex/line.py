"""The lines before targets that are away, as the reflex lane knows them: the database's, and who is about to join."""

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.runs import away
from appliance.runs.away_sql import FEW
from appliance.runs.reflex.intent import Intent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """The targets that runs wait for, as a commit says; None where they are many, or nothing is known yet."""

    targets: frozenset[str] | None = None

    @classmethod
    def of(cls, targets: Sequence[str] | None, written: str | None) -> "Known":
        """``targets`` as the statement saw them when it began, ``written`` the lines that it has written, as JSON."""
        if targets is None and written is None:
            return NO_LINES
        if targets is not None and len(targets) > FEW:
            return cls()
        return cls(frozenset(targets or ()) | {line["target"] for line in json.loads(written or "[]")})

    def may_have(self, intent: Intent) -> bool:
        """Whether anybody may wait for what this acts on."""
        if self.targets == frozenset():
            return False
        target = intent.target
        return bool(target) and (self.targets is None or target in self.targets)


NO_LINES = Known(frozenset())


class LaneLine:
    """A run of this lane takes its place in the commit with which it lands."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._landing: dict[UUID, str] = {}
        self._one_by_one = asyncio.Lock()
        self._drain = 0

    def gives_up(self, run_id: UUID, target: str) -> None:
        """It stands in line from now on, though its commit is still to come."""
        if target:
            self._landing[run_id] = target

    def landed(self, run_ids: Iterable[UUID]) -> None:
        if self._landing:
            for run_id in run_ids:
                self._landing.pop(run_id, None)

    @property
    def anybody_lands(self) -> bool:
        """Whether a run has found its target away, and is not committed as waiting yet."""
        return bool(self._landing)

    async def is_behind(self, run_id: UUID, target: str) -> bool:
        """Whether an older run waits for this target. Where the database does not say, a worker finds out."""
        if any(found == target and other < run_id for other, found in self._landing.items()):
            return True
        try:
            async with self._pool.connection() as connection:
                return await away.is_behind(connection, run_id, target)
        except (DatabaseError, PoolTimeout, OSError) as error:
            log.warning("run %s is handed over: %s", run_id, error)
            return True

    @property
    def is_draining(self) -> bool:
        """Whether runs that have waited for a connection go on now: who begins meanwhile comes after them."""
        return self._drain > 0

    async def is_behind_after_waiting(self, run_id: UUID, target: str) -> bool:
        """Many have waited for the same connection: they go on in the order in which they came."""
        self._drain += 1
        try:
            async with self._one_by_one:
                return await self.is_behind(run_id, target)
        finally:
            self._drain -= 1
