"""``manage.py models accept``."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime

from appliance.accounts.principal import CONSOLE
from appliance.inference.acceptance.services import accept
from appliance.inference.management.testing import newest_try, until_judged
from appliance.inference.management.verb import Options, Say, Verb


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--wait", action="store_true", help="until there is a verdict; 1 where it is refused")


def _perform(options: Options, tell: Say) -> None:
    before = newest_try(options["name"])
    candidate = accept(options["name"], CONSOLE, datetime.now(UTC))
    if options["wait"]:
        until_judged(candidate, before, quiet=options["json"])
    said = {"name": candidate.name, "version": candidate.version, "live": options["wait"]}
    word = "has passed its tests, and is live" if options["wait"] else "is tested again"
    tell(json.dumps(said) if options["json"] else f"{candidate} {word}.")


VERB = Verb("accept", "test again what was refused, or what is live", _perform, _add_arguments)
