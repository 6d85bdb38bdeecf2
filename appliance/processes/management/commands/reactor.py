"""``manage.py reactor``: MQTT in, outbox out, chat, and the reconciler."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from appliance.lib.config import get_config


class Command(BaseCommand):
    help = "Listen to MQTT and chat, deliver the outbox, reconcile."

    def handle(self, **options: Any) -> None:
        from appliance.processes.reactor import run

        asyncio.run(run(get_config()))
