"""Lock-outs and windows as a process holds them: read again when the epoch says that something has changed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.safety.budgets.model import Then
from appliance.safety.plant_state.domain import LockOut, Restraints, Scope, Target, Window
from appliance.safety.policy.model import TimeIs

LOCKOUTS = """
SELECT id, scope, pattern, by, reason, since, "then" FROM safety_lockout WHERE ended_at IS NULL ORDER BY id
"""
WINDOWS = """
SELECT id, name, scope, pattern, reason, "then", weekly, begins, ends FROM safety_window
WHERE removed_at IS NULL ORDER BY id
"""
MOST = 500
"""Of each, on one box."""


def lockout_of(row: Sequence[Any]) -> LockOut:
    """Of a row of ``LOCKOUTS``."""
    number, scope, pattern, by, reason, since, then = row
    return LockOut(number, Target(Scope(scope), pattern), by, reason, since.astimezone(UTC), Then(then))


def window_of(row: Sequence[Any]) -> Window:
    """Of a row of ``WINDOWS``."""
    number, name, scope, pattern, reason, then, weekly, begins, ends = row
    hours = TimeIs.model_validate(weekly) if weekly else None
    return Window(number, name, Target(Scope(scope), pattern), reason, Then(then), hours, begins, ends)


class RestraintKeeper:
    """``epoch`` is the one that they were read at; who sees a later one reads them again."""

    def __init__(self, restraints: Restraints | None = None, epoch: int = -1) -> None:
        self.restraints = restraints or Restraints()
        self.epoch = epoch

    async def follow(self, connection: AsyncConnection[Any], epoch: int) -> None:
        """Have those of ``epoch``."""
        if epoch <= self.epoch:
            return
        cursor = connection.cursor(row_factory=tuple_row)
        lockouts = [lockout_of(row) for row in await (await cursor.execute(LOCKOUTS)).fetchall()]
        windows = [window_of(row) for row in await (await cursor.execute(WINDOWS)).fetchall()]
        # Whoever has begun to read before may end after another that has read later ones.
        if epoch > self.epoch:
            self.restraints, self.epoch = Restraints(lockouts, windows), epoch

    def now(self, at: datetime) -> list[Window]:
        """The windows that are on."""
        return [one for one in self.restraints.windows if one.is_on(at)]
