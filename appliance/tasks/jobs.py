"""Celery doors of tasks: beat's firing is a hint, what is due is computed here."""

from datetime import UTC, datetime

from celery import shared_task

from appliance.tasks import doors


@shared_task(name="tasks.fire_due")
def fire_due(task_id: int, trigger_id: str) -> None:
    """Look at one time trigger."""
    doors.look_at_trigger(task_id, trigger_id, datetime.now(UTC))


@shared_task(name="tasks.tick")
def tick() -> None:
    """The safety net: look at every time trigger whose time has come."""
    doors.look_at_all(datetime.now(UTC))
