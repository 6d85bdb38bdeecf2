"""The event that a run is in another state now."""

from uuid import UUID

from appliance.events import RunChanged
from appliance.runs.domain import RunState, Waiting


def run_changed(
    run_id: UUID, task: str, state: RunState, waiting_for: Waiting | None, reason: str, principal: str = ""
) -> RunChanged:
    return RunChanged(
        run_id=str(run_id),
        task=task,
        state=state.value,
        waiting_for=waiting_for.value if waiting_for else "",
        reason=reason[:1000],
        principal=principal,
    )
