import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.space import Space
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from appliance.inference.management.showing import ProgressShown
from appliance.inference.quantise.confined import sandbox_at_hand
from appliance.inference.quantise.containers import ToolJob, for_trtllm, to_gguf
from appliance.inference.quantise.quantising import Quantised, quantise
from appliance.inference.quantise.recipe import BITS, Recipe
from appliance.inference.quantise.report import Report
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
            "--engine", choices=["llamacpp", "trtllm"], default="llamacpp", help="of --show-job"
        )
        parser.add_argument("--image", default="", help="of --show-job: NAME@sha256:…")
        parser.add_argument(
            "--calibration", type=Path, metavar="DIR", help="of --show-job for trtllm: texts on this box"
        )
        parser.add_argument(
            "--blackwell", action="store_true", help="of --show-job for trtllm: the GPU has FP4"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            recipe = Recipe(options["type"]) if options["type"] else BITS[options["bits"]]
            if options["show_job"]:
                job = _job(options, recipe)
                said = [job.as_json()] if options["json"] else [job.as_command(), f"then: {job.then}"]
            else:
                report = _perform(options, recipe)
                said = [json.dumps(report.as_json())] if options["json"] else report.as_lines()
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        for line in said:
            self.stdout.write(line)


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
    folder: Path = options["input"]
    facts = inspect_path(folder)
    if facts.format is not ModelFormat.SAFETENSORS:
        raise ModelRefused("a GGUF file needs no container", hint="without --show-job it is quantised here")
    size = sum((folder / name).stat().st_size for name in facts.files)
    if options["engine"] == "trtllm":
        return for_trtllm(
            folder,
            options["output"],
            options["bits"],
            size,
            blackwell=options["blackwell"],
            calibration=options["calibration"],
            image=options["image"],
        )
    return to_gguf(folder, options["output"], recipe, size, options["image"])
