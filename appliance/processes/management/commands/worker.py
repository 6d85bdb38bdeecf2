"""``manage.py worker``: executes runs."""

import logging
import os
from argparse import ArgumentTypeError
from importlib import import_module
from typing import Any

from celery import current_app
from celery.signals import worker_ready, worker_shutting_down
from django.core.management.base import BaseCommand, CommandError, CommandParser

from appliance.lib.config import get_config
from appliance.processes import go_ahead
from appliance.processes.lock import PlaceTaken, take_place
from appliance.processes.worker import DRAIN_SECONDS, FAREWELL_SECONDS, make_lane

log = logging.getLogger(__name__)

MOST_WORKERS = 64


class Command(BaseCommand):
    help = "Execute runs on one asyncio loop, beside the threads for Celery's doors."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--number",
            type=_place,
            default=0,
            help="its place among several workers of one box; each has its own",
        )

    def handle(self, *, number: int = 0, **options: Any) -> None:
        # Loaded now, while the engines start: Celery would load them when it needs them.
        import_module("celery.worker.worker")
        import_module("kombu.transport.redis")
        current_app.loader.import_default_modules()
        go_ahead.wait()
        config = get_config()
        try:
            place = take_place(config.home, number)
        except PlaceTaken as error:
            raise CommandError(str(error)) from None
        lane = make_lane(config, number)
        lane.start()
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
            lane.stop(DRAIN_SECONDS, FAREWELL_SECONDS)
            os.close(place)


def _place(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < MOST_WORKERS:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is no place: a whole number from 0 to {MOST_WORKERS - 1}")
