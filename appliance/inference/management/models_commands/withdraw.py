"""``manage.py models withdraw``."""

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
    services.withdraw(name, CONSOLE, datetime.now(UTC))
    tell(json.dumps({"name": name, "done": True}) if options["json"] else f"{name} is not served any more.")


VERB = Verb("withdraw", "serve a model no more; its files stay", _perform, _add_arguments)
