"""``manage.py down``: stop the box of this home."""

import os
import signal
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.processes import go_ahead, leftovers, lock

PATIENCE = 120.0


class Command(BaseCommand):
    help = "Stop everything in order: services first, engines last."

    def handle(self, **options: Any) -> None:
        try:
            self.stdout.write(self._stop())
        except (MillwrightError, PermissionError) as error:
            raise CommandError(f"the box cannot be stopped: {error}") from error

    def _stop(self) -> str:
        home = get_config().home
        go_ahead.withhold(home)  # so that what ends knows that it is not to be started again
        running = lock.holder(home)
        if running is not None:
            with suppress(ProcessLookupError):
                os.kill(running, signal.SIGTERM)
            if not lock.wait_until_free(home, PATIENCE):
                with suppress(ProcessLookupError):
                    os.kill(running, signal.SIGKILL)
        # What has lost its process manager does not stop by itself.
        if not leftovers.running(home):
            return "Stopped." if running is not None else "The box was not running."
        held = lock.take(home)
        try:
            ended = leftovers.clear(home)
        finally:
            os.close(held)
        return f"Stopped; ended what was left: {', '.join(ended)}." if ended else "Stopped."
