"""``manage.py keeper``: decides which models are loaded, and gives them out."""

from typing import Any

import uvloop
from django.core.management.base import BaseCommand

from appliance.lib.config import get_config


class Command(BaseCommand):
    help = "Keep the models: load, watch and share them."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        from appliance.processes import go_ahead
        from appliance.processes.models_keeper import run

        go_ahead.wait()
        uvloop.run(run(get_config()))
