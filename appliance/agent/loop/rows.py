"""The rows of a run as the loop reads them."""

from collections.abc import Iterator

from appliance.agent.domain import StepSeen, seconds_between
from appliance.runs.own_rows import OwnRows


def seen(own: OwnRows) -> Iterator[StepSeen]:
    for row in own.steps:
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
