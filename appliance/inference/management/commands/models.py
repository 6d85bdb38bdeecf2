from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.inference.management.verb import verbs
from appliance.lib.errors import MillwrightError


class Command(BaseCommand):
    help = "The models of this box: which there are, which are served, and how they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        known = parser.add_subparsers(dest="verb", required=True)
        for verb in verbs().values():
            own = known.add_parser(verb.name, help=verb.help)
            verb.add_arguments(own)
            own.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verbs()[options["verb"]].perform(options, self.stdout.write)
        except MillwrightError as error:
            raise CommandError(str(error)) from error
