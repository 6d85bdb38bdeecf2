"""``manage.py worker``: executes runs."""

import logging
from typing import Any

from celery import current_app
from celery.signals import worker_ready, worker_shutting_down
from django.core.management.base import BaseCommand

from appliance.lib.config import get_config
from appliance.processes.worker import DRAIN_SECONDS, make_lane
from appliance.runs import lane

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Execute runs: Celery's thread pool in front of one asyncio loop."

    def handle(self, **options: Any) -> None:
        current = make_lane(get_config())
        lane.install(current)
        current.start()
        worker_ready.connect(lambda **_: log.info("worker ready"), weak=False)
        worker_shutting_down.connect(lambda **_: log.info("worker stops"), weak=False)
        try:
            current_app.worker_main(
                [
                    "worker",
                    "--pool=threads",
                    "--concurrency=4",
                    "--loglevel=WARNING",
                    "--without-gossip",
                    "--without-mingle",
                    "--without-heartbeat",
                ]
            )
        finally:
            current.stop(DRAIN_SECONDS)
