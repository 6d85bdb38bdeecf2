"""``manage.py models matrix``."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime

from appliance.accounts.principal import CONSOLE
from appliance.inference.domain import Work
from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.overview import chains
from appliance.inference.services import set_chain


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("work", nargs="?", choices=[work.value for work in Work])
    parser.add_argument("names", nargs="*", help="models, the best first")
    parser.add_argument("--any", action="store_true", help="leave the work to whatever can do it")


def _perform(options: Options, tell: Say) -> None:
    if options["work"] and (options["names"] or options["any"]):
        names = [] if options["any"] else options["names"]
        set_chain(Work(options["work"]), names, CONSOLE, datetime.now(UTC))
    rows = {work.value: list(row.models_in_order) if row else [] for work, row in chains().items()}
    shown = {work: names for work, names in rows.items() if options["work"] in (None, work)}
    if options["json"]:
        tell(json.dumps(shown))
        return
    for work, names in shown.items():
        tell(f"{work:<16} {', '.join(names) or 'whatever can'}")


VERB = Verb(
    "matrix", "which models for which work, the best first; shows it, or sets a row", _perform, _add_arguments
)
