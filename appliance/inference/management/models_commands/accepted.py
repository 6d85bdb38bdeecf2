"""``manage.py models accepted``."""

import json
from argparse import ArgumentParser

from appliance.inference.acceptance.services import tries
from appliance.inference.management.testing import result_lines
from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.overview import find_model, plain


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def _perform(options: Options, tell: Say) -> None:
    row = find_model(options["name"])
    shown = plain(row)
    if options["json"]:
        kept = ("name", "version", "candidate", "acceptance", "golden_changed")
        tell(json.dumps({key: shown[key] for key in kept}))
        return
    if row.candidate is not None:
        tell(f"{row.candidate} {row.candidate.state}: {row.candidate.reason}".rstrip(": "))
    if row.golden_changed:
        tell("The golden set has changed since what is live passed; models accept tests it with the new one.")
    found = tries(options["name"])
    for one in found:
        word = {True: "passed", False: "refused", None: "under way"}[one.passed]
        tell(f"{one.started_at:%Y-%m-%d %H:%M} {one.model}@{one.version} {word} {one.reason}".rstrip())
        for line in result_lines(one):
            tell(line)
    if not found:
        tell("Nothing of it was tested yet.")


VERB = Verb("accepted", "what the tests of a model have found", _perform, _add_arguments)
