"""``manage.py models load``."""

import json
from argparse import ArgumentParser

from appliance.accounts.principal import CONSOLE
from appliance.inference import services
from appliance.inference.management.verb import Options, Say, Verb


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def _perform(options: Options, tell: Say) -> None:
    name = options["name"]
    services.load(name, CONSOLE)
    tell(json.dumps({"name": name, "done": True}) if options["json"] else f"{name} is being loaded.")


VERB = Verb("load", "load a model now", _perform, _add_arguments)
