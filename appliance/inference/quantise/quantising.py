"""A model with fewer bits: made by a process of its own, and there under its name only when it is whole."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.catalogue.durable import make_folder, settle, sync_folder
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.progress import OnProgress, Progress, nobody
from appliance.inference.catalogue.reading.facts import Facts
from appliance.inference.catalogue.space import Space, disk_full
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import EngineAbsent, ModelRefused
from appliance.inference.quantise import child
from appliance.inference.quantise.recipe import Recipe
from appliance.lib.config import ROOT

_WIDTH = {Recipe.Q4_0: 4.6, Recipe.Q4_K_M: 5.0, Recipe.Q5_K_M: 5.8, Recipe.Q6_K: 6.6, Recipe.Q8_0: 8.6}
"""Bits of one weight, from above."""
_OLD_TYPE = re.compile(r"[-._]?(?:F32|F16|BF16|I?Q\d[\w]*|fp16|f16|f32|bf16)$")
_LICENCE = re.compile(r"(?i)^(licen[sc]e|notice|copying)")
_UNFINISHED = ".quantising"


@dataclass(frozen=True, slots=True)
class Quantised:
    """``before`` and ``after``: bytes. ``kinds``: how many tensors have which type now."""

    source: Path
    file: Path
    facts: Facts
    recipe: Recipe
    before: int
    after: int
    kinds: dict[str, int]


def quantise(
    given: Path,
    folder: Path,
    recipe: Recipe,
    *,
    space: Space,
    threads: int = 0,
    on_progress: OnProgress = nobody,
) -> Quantised:
    """Make ``<folder>/<name>-<recipe>.gguf`` of a GGUF file, or of the one in a folder.

    Whatever ends it, a temporary file is all that was there, and it is gone. Raises ModelRefused, ImportInterrupted
    (the disk), EngineAbsent.
    """
    facts = _readable(given)
    home = given if given.is_dir() else given.parent
    sources = [home / name for name in facts.files if name.endswith(".gguf")]
    stem = _OLD_TYPE.sub("", re.sub(r"-\d{5}-of-\d{5}$", "", Path(facts.main).stem))
    target = folder / f"{stem or 'model'}-{recipe.value}.gguf"
    if target.exists():
        raise ModelRefused(f"{target} is there already", hint="give another --output, or remove it")
    make_folder(folder, None)
    space.require(folder, int((facts.parameters or 0) * _WIDTH[recipe] / 8))
    unfinished = folder / f".{target.name}{_UNFINISHED}"
    unfinished.unlink(missing_ok=True)
    try:
        made = _run(sources, unfinished, recipe, threads or _half_of_the_cores(), on_progress)
        settle(unfinished, None)
        unfinished.rename(target)
        sync_folder(folder)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    for name in facts.files:
        if _LICENCE.match(name) and not (folder / name).exists():
            shutil.copyfile(home / name, folder / name)
    before = sum(one.stat().st_size for one in sources)
    return Quantised(given, target, facts, recipe, before, target.stat().st_size, made)


def _readable(given: Path) -> Facts:
    if not given.exists():
        raise ModelRefused(f"there is no {given}")
    facts = inspect_path(given)
    if facts.format is not ModelFormat.GGUF:
        raise ModelRefused(
            "a model of safetensors is made a GGUF file first, by the tools container, which needs a container engine",
            hint="--show-job prints the job to run; then quantise what it has made",
        )
    return facts


def _run(
    sources: list[Path], target: Path, recipe: Recipe, threads: int, on_progress: OnProgress
) -> dict[str, int]:
    argv = [sys.executable, "-s", "-E", "-m", child.__name__]
    job = {
        "sources": [str(one.absolute()) for one in sources],
        "target": str(target.absolute()),
        "recipe": recipe.value,
        "threads": threads,
        "parent": os.getpid(),
    }
    environment = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    running = subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        return _follow(running, json.dumps(job), on_progress)
    finally:
        running.kill()
        running.wait()
        for stream in (running.stdin, running.stdout):
            if stream:
                stream.close()


def _follow(running: "subprocess.Popen[str]", job: str, on_progress: OnProgress) -> dict[str, int]:
    assert running.stdin
    assert running.stdout
    running.stdin.write(job + "\n")
    running.stdin.flush()
    said: dict[str, object] = {}
    for line in running.stdout:
        said = json.loads(line)
        if "done" in said:
            on_progress(Progress("quantising", int(str(said["done"])), int(str(said["total"]))))
    status = running.wait()
    made = said.get("made")
    if status == 0 and isinstance(made, dict):
        return made
    why = str(said.get("refused") or f"its process ended with {_how(status)}")
    if status == child.FULL:
        raise disk_full(why)
    if "not installed" in why:
        raise EngineAbsent(why, hint="pip install -r requirements-llamacpp.txt into the box's .venv")
    raise ModelRefused(f"the model cannot be quantised: {why}")


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _half_of_the_cores() -> int:
    return max(1, len(os.sched_getaffinity(0)) // 2)
