"""``manage.py reactor``: MQTT in, outbox out, chat, and the reconciler."""

from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from appliance.lib.config import get_config


class Command(BaseCommand):
    help = "Listen to MQTT and chat, deliver the outbox, reconcile."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        from appliance.processes import go_ahead
        from appliance.processes.reactor import run

        go_ahead.wait()
        uvloop.run(run(get_config()))
