"""Celery doors of the doctor."""

from datetime import UTC, datetime

from celery import shared_task

from appliance.ops.services import look_by_itself


@shared_task(name="ops.look")
def look() -> None:
    """The hourly look at the box."""
    look_by_itself(datetime.now(UTC))
