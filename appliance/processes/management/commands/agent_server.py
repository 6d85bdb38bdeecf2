"""``manage.py agent_server``: the whole box, with a model and chat platforms."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from appliance.inference.domain import EngineKind
from appliance.inference.management.showing import ProgressShown, size
from appliance.inference.services import Serving
from appliance.lib.config import read_config
from appliance.lib.errors import MillwrightError
from appliance.processes.furnishing import Furnishing
from appliance.processes.start_order import StartOrder, StartPlan, check_order, moved, unset
from appliance.processes.whole_box import Occasions, run_box


class Command(BaseCommand):
    help = "Start the box with a model and chat platforms: all that is wrong is said before anything starts."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--model-path",
            required=True,
            metavar="PATH",
            help="a .gguf file, a folder with GGUF or safetensors, or NAME or NAME@VERSION of a model of this box",
        )
        parser.add_argument("--platform-config", type=Path, metavar="FILE", help="platforms.json")
        parser.add_argument(
            "--cache-dir", type=Path, metavar="DIR", help="where engines keep what they compiled"
        )
        parser.add_argument(
            "--name", default="", help="what the model is called; it follows from the path else"
        )
        parser.add_argument("--engine", choices=[kind.value for kind in EngineKind])
        parser.add_argument("--context", type=int, default=0, metavar="TOKENS", help="of one conversation")
        parser.add_argument("--slots", type=int, default=1, help="how many conversations run at once")
        parser.add_argument("--device", default="", help="the id of a device; without it the processor")
        parser.add_argument(
            "--dry-run", action="store_true", help="check everything, say what would be done, and do nothing"
        )
        parser.add_argument(
            "--json", action="store_true", help="one line for a script; the rest goes to stderr"
        )

    def handle(self, **options: Any) -> None:
        if options["cache_dir"]:
            os.environ["MILLWRIGHT_CACHE"] = str(options["cache_dir"].expanduser().absolute())
        serving = Serving(
            engine=EngineKind(options["engine"]) if options["engine"] else None,
            context=options["context"],
            slots=options["slots"],
            device=options["device"],
        )
        order = StartOrder(options["model_path"], serving, options["name"], options["platform_config"])
        shown = ProgressShown(quiet=options["json"])
        try:
            config = read_config(os.environ)
            plan = check_order(order, config, shown)
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError("stopped before anything was started or changed") from error
        finally:
            shown.end()
        if options["dry_run"]:
            for line in [json.dumps(plan.as_json())] if options["json"] else _as_lines(plan):
                self.stdout.write(line)
            return
        self._run(plan, serving, as_json=options["json"])

    def _run(self, plan: StartPlan, serving: Serving, *, as_json: bool) -> None:
        def say(text: str) -> None:
            print(text, file=sys.stderr if as_json else sys.stdout, flush=True)

        shown = ProgressShown(quiet=as_json)
        furnishing = Furnishing(plan, serving, lambda: datetime.now(UTC), shown)

        def furnish() -> None:
            try:
                furnishing.bring()
            finally:
                shown.end()

        def tell() -> None:
            furnishing.serve()
            if as_json:
                self.stdout.write(json.dumps(furnishing.as_json()))
                self.stdout.flush()
                return
            for line in furnishing.as_lines():
                say(line)

        run_box(read_config(os.environ), say, Occasions(furnish, tell))


def _as_lines(plan: StartPlan) -> list[str]:
    model, profile = plan.given.manifest, plan.plan.profile
    what = f"{model.format.value}, {model.quantisation or 'as it is'}, {size(model.size)}"
    come = "lies on this box" if plan.given.is_here else f"would be imported from {plan.given.path}"
    lines = [
        f"Model: {plan.given} ({what}) {come}.",
        f"It would be served by {profile.engine.value} with {profile.context} tokens on "
        f"{profile.device or 'the processor'}.",
    ]
    if plan.fits:
        lines.append(f"It has no room at the moment: {plan.fits}.")
    for entry in plan.platforms:
        lines.append(f"Platform {entry.name}: {entry.factory.title}. {entry.factory.unavailable}".rstrip())
        lines += [f"  the value of {place} would be moved into the secrets" for place in moved(entry)]
        lines += [
            f"  {name} is not set here: set it, or `manage.py secrets set {name}` once the box runs"
            for name in unset(entry)
        ]
    lines.append(f"Caches of engines: {plan.cache}")
    return [*lines, f"Address: {plan.address}", "Nothing was started or changed."]
