"""``manage.py models import``."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime

from appliance.accounts.principal import CONSOLE
from appliance.inference.catalogue.importing import Wanted, import_model
from appliance.inference.catalogue.space import Space
from appliance.inference.management.showing import ProgressShown, size
from appliance.inference.management.verb import Options, Say, Verb
from appliance.safety.references import is_reference
from appliance.safety.secrets import resolve

_GB = 1_000_000_000


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        help="a folder (weights, or a remote.json), a .gguf file, http(s)://….gguf, or git+https://… for a repository",
    )
    parser.add_argument("--name", required=True, help="what the model is called on this box")
    parser.add_argument(
        "--version", dest="model_version", default="", help="without it: of the content's digest"
    )
    parser.add_argument(
        "--file", default="", metavar="PATTERN", help="which weights, where the source has several"
    )
    parser.add_argument("--sha256", default="", help="what the weights' file has to be")
    parser.add_argument("--licence", default="", help="in the place of what the files say")
    parser.add_argument("--move", action="store_true", help="what lies on this box leaves its place")
    parser.add_argument("--afresh", action="store_true", help="without what an earlier try has left")
    parser.add_argument("--proxy", default="", metavar="URL", help="http://… or socks5://…")
    parser.add_argument(
        "--token", default="", metavar="secret:NAME", help="a bearer token for the source's host"
    )
    parser.add_argument("--max-gb", type=int, default=2000, help="refuse what is larger (2000)")
    parser.add_argument("--keep-free-gb", type=int, default=2, help="what stays free of the disk (2)")


def _perform(options: Options, tell: Say) -> None:
    token = options["token"]
    shown = ProgressShown(quiet=options["json"])
    wanted = Wanted(
        source=options["source"],
        name=options["name"],
        version=options["model_version"],
        sha256=options["sha256"].lower(),
        licence=options["licence"],
        only=options["file"],
        move=options["move"],
        afresh=options["afresh"],
        proxy=options["proxy"],
        token=resolve(token) if is_reference(token) else token,
        space=Space(options["keep_free_gb"] * _GB, options["max_gb"] * _GB),
    )
    try:
        imported = import_model(wanted, CONSOLE, datetime.now(UTC), on_progress=shown)
    finally:
        shown.end()
    manifest = imported.stored.manifest
    if options["json"]:
        said = {**manifest.model_dump(mode="json"), "digest": manifest.digest, "fresh": imported.fresh}
        tell(json.dumps({**said, "left_out": [list(one) for one in imported.left_out]}))
        return
    for name, why in imported.left_out:
        tell(f"left out: {name} ({why})")
    word = "is here now" if imported.fresh else "was here already"
    tell(
        f"{manifest.name}@{manifest.version} {word}: {size(manifest.size)}, {manifest.quantisation or 'as it is'}."
    )


VERB = Verb(
    "import", "bring a model onto this box; the same call goes on after a cut", _perform, _add_arguments
)
