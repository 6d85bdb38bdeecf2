"""``manage.py hardware``: what this machine has to run models on."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from appliance.inference.hardware.detecting import look
from appliance.inference.hardware.table import lines, to_json


class Command(BaseCommand):
    help = "Show processor, memory and accelerators, and why something that is there cannot be used."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="for scripts")

    def handle(self, *, as_json: bool = False, **options: Any) -> None:
        hardware = look()
        self.stdout.write(json.dumps(to_json(hardware)) if as_json else "\n".join(lines(hardware)))
