"""The rows of a run as the loop reads them."""

from collections.abc import Iterable, Iterator
from typing import Any

from appliance.agent.domain import StepSeen, seconds_between
from appliance.runs.own_rows import OwnRows


def seen(own: OwnRows) -> Iterator[StepSeen]:
    return seen_of(own.steps)


def seen_of(steps: Iterable[dict[str, Any]]) -> Iterator[StepSeen]:
    for row in steps:
        yield StepSeen(
            step=row["step"],
            state=row["state"],
            output=row["output"],
            detail=row["detail"] or {},
            error=row["error"],
            stderr=row["stderr"],
            kind=row["kind"],
            seconds=seconds_between(row["started_at"], row["finished_at"]),
        )
