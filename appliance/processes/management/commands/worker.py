"""``manage.py worker``: executes runs."""

import logging
from typing import Any

from celery import current_app
from celery.signals import worker_ready, worker_shutting_down
from django.core.management.base import BaseCommand, CommandParser

from appliance.lib.config import get_config
from appliance.processes.worker import DRAIN_SECONDS, make_lane
from appliance.runs import lane

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Execute runs: Celery's thread pool in front of one asyncio loop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--number",
            type=int,
            default=0,
            help="its place among several workers of one box; each has its own",
        )

    def handle(self, *, number: int = 0, **options: Any) -> None:
        current = make_lane(get_config(), number)
        lane.install(current)
        current.start()
        worker_ready.connect(lambda **_: log.info("worker ready"), weak=False)
        worker_shutting_down.connect(lambda **_: log.info("worker stops"), weak=False)
        try:
            current_app.worker_main(
                [
                    "worker",
                    f"--hostname=worker-{number}@%h",
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
