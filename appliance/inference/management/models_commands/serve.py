"""``manage.py models serve``."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime

from appliance.accounts.principal import CONSOLE
from appliance.inference import services
from appliance.inference.domain import EngineKind
from appliance.inference.management.testing import newest_try, until_judged
from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.models import Candidate


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument(
        "--model-version", metavar="VERSION", default="", help="the newest where it is not said"
    )
    parser.add_argument("--engine", choices=[kind.value for kind in EngineKind])
    parser.add_argument("--context", type=int, default=0, metavar="TOKENS", help="of one conversation")
    parser.add_argument("--slots", type=int, default=1, help="how many conversations run at once")
    parser.add_argument("--device", default="", help="the id of a device; without it the processor")
    parser.add_argument(
        "--option", action="append", default=[], type=_option, metavar="NAME=VALUE", help="of the engine"
    )
    parser.add_argument(
        "--keep-alive",
        type=float,
        default=services.KEEP_ALIVE,
        metavar="SECONDS",
        help="unused until it goes",
    )
    parser.add_argument(
        "--wait", action="store_true", help="until its tests have passed; 1 where they do not"
    )
    parser.add_argument("--always", action="store_true", help="loaded as long as the box runs")


def _option(text: str) -> tuple[str, str | int | float | bool]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        plain = json.loads(value)
    except ValueError:
        return name, value
    return name, plain if isinstance(plain, int | float) else value


def _perform(options: Options, tell: Say) -> None:
    how = services.Serving(
        version=options["model_version"],
        engine=EngineKind(options["engine"]) if options["engine"] else None,
        context=options["context"],
        slots=options["slots"],
        device=options["device"],
        options=dict(options["option"]),
        keep_alive=None if options["always"] else options["keep_alive"],
    )
    before = newest_try(options["name"])
    row = services.serve(options["name"], how, CONSOLE, datetime.now(UTC))
    if isinstance(row, Candidate) and options["wait"]:
        row = until_judged(row, before, quiet=options["json"])
    if options["json"]:
        said = {"name": row.name, "version": row.version, "engine": row.engine, "revision": row.revision}
        tell(json.dumps({**said, "live": not isinstance(row, Candidate)}))
    elif isinstance(row, Candidate):
        tell(f"{row} is tested first, and goes live once it has passed; what is live stays until then.")
        tell(f"models accepted {row.name} shows how far it is.")
    else:
        tell(f"{row} is served by {row.engine}. models test {row.name} asks it something.")


VERB = Verb("serve", "serve a model of this box, or serve it in another way", _perform, _add_arguments)
