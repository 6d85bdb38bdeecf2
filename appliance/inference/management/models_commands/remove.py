"""``manage.py models remove``."""

import json
from argparse import ArgumentParser

from appliance.accounts.principal import CONSOLE
from appliance.inference.catalogue.keeping import remove_version, split_name
from appliance.inference.management.verb import Options, Say, Verb


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("version", metavar="NAME@VERSION")


def _perform(options: Options, tell: Say) -> None:
    name, version = split_name(options["version"])
    remove_version(name, version, CONSOLE)
    tell(json.dumps({"removed": f"{name}@{version}"}) if options["json"] else f"{name}@{version} is removed.")


VERB = Verb("remove", "take a version off the disk; not one that is served", _perform, _add_arguments)
