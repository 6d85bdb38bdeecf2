"""``manage.py beat``: Celery beat with the database scheduler. Its firing is a hint."""

import logging
import os
import signal
import threading
import time
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand

from appliance.lib.config import get_config

log = logging.getLogger(__name__)

SET_BACK = 5.0
"""Seconds by which the clock must have been set back to be noticed."""
LOOK_EVERY = 1.0


class Command(BaseCommand):
    help = "Fire the schedules; one of these per box (a second one does no harm)."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        from appliance.ops.schedule import ensure_rounds
        from appliance.processes import go_ahead
        from appliance.tasks.periodic import ensure_tick, forget_future

        # Loaded now, while the engines start: Celery would load them when it needs them.
        import_module("celery.apps.beat")
        import_module("kombu.transport.redis")
        import_module("django_celery_beat.schedulers")
        go_ahead.wait()
        ensure_tick()
        ensure_rounds()
        forget_future(datetime.now(UTC))
        beat = current_app.Beat(
            loglevel="WARNING",
            pidfile=str(get_config().home.runtime / "celerybeat.pid"),
            quiet=True,
        )
        threading.Thread(target=end_when_set_back, name="clock", daemon=True).start()
        beat.run()


def end_when_set_back() -> None:
    """Beat's memory is full of times that will come again: it is started anew, and must not write them down before."""
    ahead = time.time() - time.monotonic()
    while (now := time.time() - time.monotonic()) >= ahead - SET_BACK:
        ahead = now
        time.sleep(LOOK_EVERY)
    log.warning("the clock was set back by %d s: beat begins anew", ahead - now)
    os.kill(os.getpid(), signal.SIGKILL)
