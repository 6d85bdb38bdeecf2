"""``manage.py models back``."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime

from appliance.accounts.principal import CONSOLE
from appliance.inference import services
from appliance.inference.management.verb import Options, Say, Verb


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def _perform(options: Options, tell: Say) -> None:
    name = options["name"]
    services.go_back(name, CONSOLE, datetime.now(UTC))
    tell(
        json.dumps({"name": name, "done": True})
        if options["json"]
        else f"{name} is served in the version before."
    )


VERB = Verb("back", "serve the version before again", _perform, _add_arguments)
