"""``manage.py guard``: containers for everybody else. The only process that holds the engine's socket."""

import asyncio
import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.lib.config import get_config


class Command(BaseCommand):
    help = "Run containers for the other services."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        from appliance.processes.guard.options import options_of
        from appliance.processes.guard.server import AlreadyServed, CannotLock, Server

        logging.getLogger("urllib3").setLevel(logging.WARNING)
        try:
            asyncio.run(Server(options_of(get_config())).serve())
        except (AlreadyServed, CannotLock) as error:
            raise CommandError(str(error)) from error
