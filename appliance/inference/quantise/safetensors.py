"""A folder of safetensors with fewer bits: which tools container makes what of it, and from which image."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from appliance.inference.backends.fitting import images_of, no_image
from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.progress import OnProgress
from appliance.inference.catalogue.reading.facts import Facts
from appliance.inference.catalogue.space import Space
from appliance.inference.errors import EngineAbsent, ModelRefused
from appliance.inference.hardware.reading import this_machine
from appliance.inference.quantise.by_container import keep, made_by, require_tools
from appliance.inference.quantise.containers import CONVERTER, MODELOPT, ToolJob, for_trtllm, to_gguf
from appliance.inference.quantise.recipe import Recipe
from appliance.lib.config import get_config, plain_environment

_GB = 1_000_000_000
_BF16 = 2
"""Bytes of one weight."""
Options = Mapping[str, Any]


@contextlib.contextmanager
def converted(given: Path, options: Options, recipe: Recipe, on_progress: OnProgress) -> Iterator[Path]:
    """The folder with the GGUF file in BF16 that llama.cpp's converter makes of it; it goes afterwards.

    Raises as ``made_by``.
    """
    home = get_config().home
    require_tools(home)
    facts = inspect_path(given)
    job = job_of(given, {**options, "image": options["image"] or _image(CONVERTER)}, recipe)
    needs = _BF16 * (facts.parameters or 0)
    with made_by(
        job, given, facts, home, space=_space(options), needs=needs, on_progress=on_progress
    ) as made:
        yield made.folder


def for_tensorrt(given: Path, options: Options, on_progress: OnProgress) -> list[Path]:
    """What NVIDIA's Model Optimizer makes of it, kept in ``--output``: its files. Raises as ``made_by``."""
    home = get_config().home
    require_tools(home)
    facts = inspect_path(given)
    job = job_of(given, {**options, "image": options["image"] or _image(MODELOPT)}, Recipe.Q4_K_M)
    with made_by(
        job,
        given,
        facts,
        home,
        space=_space(options),
        needs=_size(given, facts),
        device=_device(options["device"]),
        on_progress=on_progress,
    ) as made:
        return keep(made, options["output"])


def job_of(given: Path, options: Options, recipe: Recipe) -> ToolJob:
    """Raises ModelRefused."""
    size = _size(given, inspect_path(given))
    if options["engine"] == "trtllm":
        return for_trtllm(
            given,
            options["output"],
            options["bits"],
            size,
            blackwell=options["blackwell"],
            calibration=options["calibration"],
            image=options["image"],
        )
    return to_gguf(given, options["output"], recipe, size, options["image"])


def _image(tool: str) -> str:
    """Raises EngineAbsent."""
    found = images_of(plain_environment(os.environ), tool)
    if not found:
        reason, hint = no_image(tool)
        raise EngineAbsent(
            f"a model of safetensors is worked on by a tools container: {reason}",
            hint=f"{hint}; or --show-job prints the job, to run it elsewhere",
        )
    return found[0].image


def _device(wanted: str) -> dict[str, object]:
    """NVIDIA's, the only one where none is named. Raises ModelRefused."""
    known = [one for one in this_machine.get().accelerators if one.vendor.value == "nvidia"]
    found = next((one for one in known if one.id == wanted or not wanted), None)
    if found is None:
        raise ModelRefused(
            f"there is no device {wanted} on this machine"
            if wanted
            else "Model Optimizer needs a GPU of NVIDIA's",
            hint=", ".join(one.id for one in known) or "manage.py hardware shows what there is",
        )
    uuid = found.id if found.id.startswith(("GPU-", "MIG-")) else ""
    return {"cdi": found.cdi, "nvidia": uuid, "nodes": []}


def _size(given: Path, facts: Facts) -> int:
    return sum((given / name).stat().st_size for name in facts.files)


def _space(options: Options) -> Space:
    return Space(options["keep_free_gb"] * _GB)
