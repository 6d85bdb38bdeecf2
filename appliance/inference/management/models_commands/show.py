"""``manage.py models show``."""

import json
from argparse import ArgumentParser

from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.overview import changes, find_model, plain


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def _perform(options: Options, tell: Say) -> None:
    shown = plain(find_model(options["name"]))
    happened = [
        {"at": one.at.isoformat(), "version": one.version, "state": one.state, "reason": one.reason}
        for one in changes(options["name"], limit=20)
    ]
    if options["json"]:
        tell(json.dumps({**shown, "changes": happened}))
        return
    for key, value in shown.items():
        said = ", ".join(map(str, value)) if isinstance(value, list) else value
        if said not in (None, ""):
            tell(f"{key.replace('_', ' '):<14} {said}")
    for one in happened:
        tell(f"{one['at'][:19]} {one['state']:<12} {one['reason']}")


VERB = Verb("show", "one model, and what became of it", _perform, _add_arguments)
