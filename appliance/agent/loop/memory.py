"""What the turns of one life of an agent's run keep for the next of them: time hangs on it, and nothing else.

A row that is final stays as it is, so what was made of it holds; all later rows are read in each turn. It goes with the
worker's claim: whoever takes the run over reads all rows, and comes to the same story and the same question.
"""

import json
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.agent.domain import Asked, StepSeen, turn_id
from appliance.agent.loop.story import Past
from appliance.runs.domain import StepState

KEY = "agent"
MOST = 2_000_000
"""Characters of what its steps gave that one run keeps; what comes after is read again in each turn."""
_FINAL = frozenset({StepState.SUCCEEDED, StepState.SKIPPED, StepState.FAILED})
Placed = tuple[int, StepSeen]
"""A row with the position of its step."""


@dataclass(slots=True)
class Memory:
    """``rows`` are those of all steps before the position ``since``. ``past`` are the turns that these rows are all of,
    ``told`` what each of them is told as, with a place for the boundary."""

    asked: Asked | None = None
    rows: list[StepSeen] = field(default_factory=list)
    since: int = 0
    past: tuple[Past, ...] = ()
    told: dict[tuple[int, int], tuple[tuple[str, str], ...]] = field(default_factory=dict)
    _size: int = 0

    def take(self, found: Sequence[Placed]) -> list[StepSeen]:
        """All rows, with those ``found`` from ``since`` on; of them it keeps what will not change any more.

        The last step may be tried again, and one that was handed over is heard of later.
        """
        whole = [*self.rows, *(one for _, one in found)]
        last = max((position for position, _ in found), default=0)
        left = next((at for at, row in found if at >= last or row.state not in _FINAL), last)
        left = min(left, self._full(found, left))
        new = [one for at, one in found if at < left]
        self.rows += new
        self._size += sum(map(_size, new))
        self.since = max(self.since, left)
        return whole

    def _full(self, found: Sequence[Placed], end: int) -> int:
        """The position before ``end`` from which on there is no room for what steps gave."""
        size = self._size
        for at, row in found:
            size += _size(row)
            if at >= end or size > MOST:
                return at
        return end

    def keep(self, past: Sequence[Past]) -> None:
        """Those of the turns whose rows are all kept: the turn after them is."""
        known = {one.step for one in self.rows}
        self.past = tuple(one for one in past if turn_id(one.number + 1) in known)


def memory_of(kept: MutableMapping[str, Any]) -> Memory:
    found = kept.setdefault(KEY, Memory())
    assert isinstance(found, Memory)
    return found


def placed(rows: Iterable[dict[str, Any]], seen: Iterable[StepSeen]) -> list[Placed]:
    return [(row["position"], one) for row, one in zip(rows, seen, strict=True)]


def _size(row: StepSeen) -> int:
    said = row.output if isinstance(row.output, str) else json.dumps(row.output)
    return len(said) + len(row.stderr) + len(row.error)
