"""Celery doors of the processes."""

from celery import shared_task

from appliance.processes.signs import beat_arrived


@shared_task(name="processes.beat_arrived")
def beat_seen() -> None:
    """Beat's firing has come the whole way to a worker: a round trip, not a process that exists."""
    beat_arrived()
