"""``manage.py assistant``: the agent that people talk to in chats, on or off."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.agent import assistant
from appliance.agent.assistant import Assistant
from appliance.inference.models import ServedModel
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "Switch the assistant on or off that answers what nothing else understood in chats; say how it is."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        on = verbs.add_parser(
            "on", help="apply the task that ships, where there is none of your own; switch it on"
        )
        on.add_argument(
            "--replace",
            action="store_true",
            help="also where you have changed it: as a new version of the task",
        )
        verbs.add_parser("off", help="switch it off; the task stays")
        status = verbs.add_parser("status", help="whether it is there, on, and yours or as it ships")
        status.add_argument("--json", action="store_true")
        show = verbs.add_parser("show", help="the task as a file")
        show.add_argument("--shipped", action="store_true", help="as it ships, not as it is on this box")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            match options["verb"]:
                case "on":
                    self._say(assistant.switch_on(CONSOLE, datetime.now(UTC), replace=options["replace"]))
                case "off":
                    self._say(assistant.switch_off(CONSOLE, datetime.now(UTC)))
                case "status":
                    found = assistant.status(CONSOLE)
                    if options["json"]:
                        self.stdout.write(json.dumps(found.to_json()))
                    else:
                        self._say(found)
                case _:
                    own = "" if options["shipped"] else assistant.status(CONSOLE).text
                    self.stdout.write(own or assistant.shipped())
        except MillwrightError as error:
            raise CommandError(str(error)) from error

    def _say(self, found: Assistant) -> None:
        if not found.present:
            self.stdout.write("There is no assistant yet: manage.py assistant on")
            return
        state = "on" if found.enabled else "off"
        own = (
            "with a version of your own, which stays; --replace takes what ships"
            if found.changed
            else "as it ships"
        )
        if not found.changed and not found.current:
            own = "as an earlier release shipped it: manage.py assistant on takes the present one"
        self.stdout.write(f"The task {assistant.NAME} is {state}, {own}.")
        if found.enabled and not ServedModel.objects.filter(enabled=True).exists():
            self.stdout.write("No model is served yet, so nobody answers: manage.py models list")
