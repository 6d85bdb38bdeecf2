import json
import tempfile
from argparse import ArgumentParser
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.accounts.principal import CONSOLE
from appliance.inference.catalogue.importing import Wanted, import_model
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.space import Space
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from appliance.inference.management.showing import ProgressShown
from appliance.inference.quantise.confined import sandbox_at_hand
from appliance.inference.quantise.containers import ToolJob
from appliance.inference.quantise.quantising import Quantised, quantise
from appliance.inference.quantise.recipe import BITS, Recipe
from appliance.inference.quantise.report import Report
from appliance.inference.quantise.safetensors import converted, for_tensorrt, job_of
from appliance.inference.quantise.trial import PROMPTS, Trial, read_prompts, try_both
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError

_GB = 1_000_000_000


class Command(BaseCommand):
    help = "Make a model smaller, and say what that cost: size, speed, and how often it still says the same."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--input", required=True, type=Path, metavar="DIR", help="a folder with a model, or a .gguf file"
        )
        parser.add_argument(
            "--output", required=True, type=Path, metavar="DIR", help="the folder that gets the new one"
        )
        parser.add_argument(
            "--bits", type=int, choices=sorted(BITS), default=4, help="4 is Q4_K_M, 8 is Q8_0"
        )
        parser.add_argument("--type", choices=[one.value for one in Recipe], help="in the place of --bits")
        parser.add_argument("--threads", type=int, default=0, help="half of the cores without it")
        parser.add_argument(
            "--prompts", type=Path, default=PROMPTS, metavar="FILE", help="one a line, to compare with"
        )
        parser.add_argument("--no-trial", action="store_true", help="do not load and compare the two")
        parser.add_argument("--keep-free-gb", type=int, default=2, help="what stays free of the disk (2)")
        parser.add_argument(
            "--show-job", action="store_true", help="print the job of the tools container, and do nothing"
        )
        parser.add_argument(
            "--engine",
            choices=["llamacpp", "trtllm"],
            default="llamacpp",
            help="of safetensors: for which engine",
        )
        parser.add_argument(
            "--image", default="", help="of safetensors: NAME@sha256:…; the settings' own else"
        )
        parser.add_argument("--calibration", type=Path, metavar="DIR", help="for trtllm: texts on this box")
        parser.add_argument("--blackwell", action="store_true", help="for trtllm: the GPU has FP4")
        parser.add_argument("--device", default="", help="for trtllm: the id of a device")
        parser.add_argument(
            "--name",
            default="",
            help="import what was made as a new version of this model (the box has to run)",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            recipe = Recipe(options["type"]) if options["type"] else BITS[options["bits"]]
            if options["show_job"]:
                job = _job(options, recipe)
                said = [job.as_json()] if options["json"] else [job.as_command(), f"then: {job.then}"]
            else:
                said = _made(options, recipe)
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        for line in said:
            self.stdout.write(line)


def _made(options: dict[str, Any], recipe: Recipe) -> list[str]:
    """Make it, by whatever it takes, and say what came of it."""
    given: Path = options["input"]
    if not given.is_dir() or inspect_path(given).format is not ModelFormat.SAFETENSORS:
        report = _perform(options, recipe)
    elif options["engine"] == "trtllm":
        return _with_modelopt(options)
    else:
        shown = ProgressShown(quiet=options["json"])
        try:
            with converted(given, options, recipe, shown) as folder:
                report = _perform({**options, "input": folder}, recipe)
        finally:
            shown.end()
        report = replace(report, made=replace(report.made, source=given))
    imported = _import(report.made.file, options["name"])
    if options["json"]:
        return [json.dumps(report.as_json() | {"imported": imported})]
    return [*report.as_lines(), *([f"It is {imported} on this box."] if imported else [])]


def _with_modelopt(options: dict[str, Any]) -> list[str]:
    shown = ProgressShown(quiet=options["json"])
    try:
        kept = for_tensorrt(options["input"], options, shown)
    finally:
        shown.end()
    imported = _import(options["output"], options["name"])
    if options["json"]:
        return [
            json.dumps(
                {"output": str(options["output"]), "files": list(map(str, kept)), "imported": imported}
            )
        ]
    come = f" It is {imported} on this box." if imported else ""
    return [f"It lies in {options['output']}: {len(kept)} files.{come}"]


def _import(source: Path, name: str) -> str:
    """As a new version, called after its content; empty where nobody asked for it. Raises MillwrightError."""
    if not name:
        return ""
    imported = import_model(Wanted(source=str(source), name=name), CONSOLE, datetime.now(UTC))
    return f"{imported.stored.manifest.name}@{imported.stored.manifest.version}"


def _perform(options: dict[str, Any], recipe: Recipe) -> Report:
    prompts = read_prompts(options["prompts"])
    shown = ProgressShown(quiet=options["json"])
    try:
        made = quantise(
            options["input"],
            options["output"],
            recipe,
            space=Space(options["keep_free_gb"] * _GB),
            threads=options["threads"],
            on_progress=shown,
        )
        if options["no_trial"]:
            return Report(made, None)
        try:
            return Report(made, _try(made, prompts, shown))
        except MillwrightError as error:
            # It is made; that it could not be tried is told, and takes nothing back.
            return Report(made, None, str(error))
    finally:
        shown.end()


def _try(made: Quantised, prompts: list[str], shown: ProgressShown) -> Trial:
    before = made.source if made.source.is_file() else made.source / made.facts.main
    with (
        sandbox_at_hand(get_config().home) as sandbox,
        tempfile.TemporaryDirectory(prefix="mw-trial-") as work,
    ):
        return try_both(before, made.file, sandbox, Path(work), prompts, shown)


def _job(options: dict[str, Any], recipe: Recipe) -> ToolJob:
    if inspect_path(options["input"]).format is not ModelFormat.SAFETENSORS:
        raise ModelRefused("a GGUF file needs no container", hint="without --show-job it is quantised here")
    return job_of(options["input"], options, recipe)
