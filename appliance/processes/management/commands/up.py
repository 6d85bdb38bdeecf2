"""``manage.py up``: the whole box."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.processes.detach import start_detached
from appliance.processes.whole_box import Occasions, run_box


class Command(BaseCommand):
    help = "Start the box: database, Redis, MQTT broker, then the services. Ctrl-C stops everything in order."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--engines-only", action="store_true", help="start database, Redis and broker only"
        )
        parser.add_argument(
            "--detach", action="store_true", help="return when the box is up, and leave it running"
        )
        parser.add_argument("--ready-fd", type=int, help="for --detach: where to say that the box is up")

    def handle(
        self, *, engines_only: bool = False, detach: bool = False, ready_fd: int | None = None, **options: Any
    ) -> None:
        try:
            config = get_config()
            if detach:
                self._say(start_detached(config, ["--engines-only"] if engines_only else []))
                return
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        run_box(config, self._say, Occasions(), engines_only=engines_only, ready_fd=ready_fd)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
