"""``manage.py beat``: Celery beat with the database scheduler. Its firing is a hint."""

from importlib import import_module
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand

from appliance.lib.config import get_config


class Command(BaseCommand):
    help = "Fire the schedules; one of these per box (a second one does no harm)."

    def handle(self, **options: Any) -> None:
        from appliance.processes import go_ahead
        from appliance.tasks.periodic import ensure_tick

        # Loaded now, while the engines start: Celery would load them when it needs them.
        import_module("celery.apps.beat")
        import_module("kombu.transport.redis")
        import_module("django_celery_beat.schedulers")
        go_ahead.wait()
        ensure_tick()
        beat = current_app.Beat(
            loglevel="WARNING",
            pidfile=str(get_config().home.runtime / "celerybeat.pid"),
            quiet=True,
        )
        beat.run()
