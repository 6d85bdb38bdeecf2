"""``manage.py models compose``."""

import json
from argparse import ArgumentParser
from pathlib import Path

from appliance.inference.backends.compose_text import compose_text
from appliance.inference.backends.contract import Plan, Profile
from appliance.inference.catalogue.repository import Stored
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelRefused
from appliance.inference.management.verb import Options, Say, Verb
from appliance.inference.models import ServedModel
from appliance.inference.overview import repository
from appliance.inference.planned import plan_here
from appliance.inference.services import Serving, find_served, profile_for
from appliance.lib.config import get_config


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument(
        "--model-version", metavar="VERSION", default="", help="the one that is served where it is not said"
    )
    parser.add_argument(
        "--engine", choices=[kind.value for kind in EngineKind], help="of one that is not served"
    )
    parser.add_argument("--device", default="", help="the id of a device, of one that is not served")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write it there, and the engine's files in a folder beside it",
    )


def _perform(options: Options, tell: Say) -> None:
    stored, profile = _wanted(options)
    plan = plan_here(get_config(), stored.manifest, stored.folder, profile)
    if options["output"] is None:
        text = compose_text(plan)
        tell(json.dumps({"compose": text}) if options["json"] else text.rstrip("\n"))
        return
    written = _write(plan, options["output"])
    if options["json"]:
        tell(json.dumps({"written": [str(one) for one in written]}))
    else:
        tell(f"Written: {', '.join(map(str, written))}. docker compose -f {written[0]} config reads it.")


def _wanted(options: Options) -> tuple[Stored, Profile]:
    """The version, and how it is served or would be. Raises ModelUnknown, ModelRefused, EngineAbsent."""
    name, version = options["name"], options["model_version"]
    row = ServedModel.objects.filter(name=name).first() if version else find_served(name)
    stored = repository().read(name, version or (row.version if row else ""))
    if row is not None:
        how = Profile(EngineKind(row.engine), row.context, row.slots, row.device, row.options)
        return stored, how
    engine = EngineKind(options["engine"]) if options["engine"] else None
    return stored, profile_for(stored.manifest, Serving(engine=engine, device=options["device"]))


def _write(plan: Plan, file: Path) -> list[Path]:
    """The compose file first. Raises ModelRefused."""
    beside = f"{file.stem}-files" if plan.files else ""
    text = compose_text(plan, beside)
    wanted = {file: text} | {file.parent / beside / name: said for name, said in plan.files.items()}
    try:
        for place, said in wanted.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(said)
            place.chmod(0o644)  # the engine in the container is another user
    except OSError as error:
        raise ModelRefused(f"{error.filename} cannot be written: {error.strerror}") from error
    return list(wanted)


VERB = Verb(
    "compose", "a container of a model as a compose file, as guard would make it", _perform, _add_arguments
)
