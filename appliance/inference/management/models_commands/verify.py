"""``manage.py models verify``."""

import json
from argparse import ArgumentParser

from appliance.inference.catalogue.keeping import verify
from appliance.inference.catalogue.repository import Repository
from appliance.inference.errors import ModelRefused, ModelUnknown
from appliance.inference.management.showing import ProgressShown
from appliance.inference.management.verb import Options, Say, Verb
from appliance.lib.config import get_config


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", help="a model, or NAME@VERSION; without it all")


def _perform(options: Options, tell: Say) -> None:
    name, _, version = options["name"].partition("@")
    stored = [
        one
        for one in Repository(get_config().home.models)
        if name in ("", one.manifest.name) and version in ("", one.manifest.version)
    ]
    if name and not stored:
        raise ModelUnknown(f"there is no model {options['name']} on this box", hint="manage.py models stored")
    shown = ProgressShown(quiet=options["json"])
    checked = [verify(one, shown) for one in stored]
    shown.end()
    if options["json"]:
        tell(
            json.dumps(
                [
                    {"name": c.manifest.name, "version": c.manifest.version, "wrong": list(c.wrong)}
                    for c in checked
                ]
            )
        )
    else:
        for one in checked:
            said = "; ".join(one.wrong) or "as it was when it came"
            tell(f"{one.manifest.name}@{one.manifest.version}: {said}")
    if any(one.wrong for one in checked):
        raise ModelRefused("a model is not what it was", hint="remove it, and import it again")


VERB = Verb(
    "verify",
    "read every byte and compare it with what came; 1 when something differs",
    _perform,
    _add_arguments,
)
