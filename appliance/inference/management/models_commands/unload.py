"""``manage.py models unload``."""

import json
from argparse import ArgumentParser

from appliance.accounts.principal import CONSOLE
from appliance.inference import services
from appliance.inference.management.verb import Options, Say, Verb


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def _perform(options: Options, tell: Say) -> None:
    name = options["name"]
    services.unload(name, CONSOLE)
    tell(
        json.dumps({"name": name, "done": True})
        if options["json"]
        else f"{name} is unloaded as soon as nobody uses it."
    )


VERB = Verb("unload", "give the memory of a model back", _perform, _add_arguments)
