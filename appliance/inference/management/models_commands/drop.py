"""``manage.py models drop``."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime

from appliance.accounts.principal import CONSOLE
from appliance.inference.acceptance.services import drop
from appliance.inference.management.verb import Options, Say, Verb


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def _perform(options: Options, tell: Say) -> None:
    name = options["name"]
    drop(name, CONSOLE, datetime.now(UTC))
    tell(
        json.dumps({"name": name, "done": True})
        if options["json"]
        else f"Nothing of {name} is to be tested any more; what is live stays."
    )


VERB = Verb("drop", "give up a version that is to be tested; what is live stays", _perform, _add_arguments)
