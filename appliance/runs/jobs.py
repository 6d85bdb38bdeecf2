"""Celery doors of runs: ids in, one call, explicit names."""

from uuid import UUID

from celery import shared_task

from appliance.runs import lane


@shared_task(name="runs.attend")
def attend(run_ids: list[str]) -> None:
    """Hand runs to the executor of this worker."""
    current = lane.current()
    if current is not None:
        current.attend([UUID(run_id) for run_id in run_ids])
