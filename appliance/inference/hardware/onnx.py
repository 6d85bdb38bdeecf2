"""What onnxruntime could use here, its execution providers. It is never loaded into a process of the box."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from appliance.inference.hardware import others
from appliance.inference.hardware.asking import ask
from appliance.inference.hardware.domain import Accelerator, Processor, Vendor
from appliance.lib.said import say

ORDER = (
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "OpenVINOExecutionProvider",
    "VitisAIExecutionProvider",
    "CPUExecutionProvider",
)
"""As it would choose among them: the first that can take a part of the model does."""
_QUESTION = "import json, onnxruntime; print(json.dumps(onnxruntime.get_available_providers()))"
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Runtimes:
    """``asked``: onnxruntime itself named them. ``notes``: why it did not, where it is installed."""

    names: tuple[str, ...]
    asked: bool
    notes: tuple[str, ...] = ()


def runtimes(accelerators: Sequence[Accelerator], processor: Processor) -> Runtimes:
    folder = _installed()
    if folder and (said := asked(folder)):
        return Runtimes(said, True)
    notes = (say("onnxruntime is installed, and did not say what it can use."),) if folder else ()
    return Runtimes(derived(accelerators, processor), False, notes)


def _installed() -> str:
    """The folder that has it, without loading it; empty for none."""
    try:
        spec = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return ""
    return str(Path(spec.origin).parents[1]) if spec is not None and spec.origin else ""


@lru_cache(maxsize=2)
def asked(folder: str) -> tuple[str, ...]:
    """Of the package in ``folder``, once in the life of this process: loading it takes most of a second."""
    return parse(ask([sys.executable, "-c", _QUESTION], _SECONDS, {"PYTHONPATH": folder}).text)


def parse(text: str) -> tuple[str, ...]:
    """The last line that it wrote; warnings of its loading may stand before it. Nothing for what is no such list."""
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else []
    except (ValueError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(one, str) for one in found) else ()


def derived(accelerators: Sequence[Accelerator], processor: Processor) -> tuple[str, ...]:
    """What a build of it for these devices has."""
    found = {"CPUExecutionProvider"}
    if processor.name.startswith(("Intel", "Genuine Intel")):
        found.add("OpenVINOExecutionProvider")
    for one in accelerators:
        if one.vendor is Vendor.NVIDIA:
            found |= {"TensorrtExecutionProvider", "CUDAExecutionProvider"}
        elif one.name.startswith((others.AMD_NPU, others.FPGA)):
            found.add("VitisAIExecutionProvider")
        elif one.vendor is Vendor.AMD and one.architecture:
            found.add("MIGraphXExecutionProvider")
        elif one.vendor is Vendor.INTEL and one.driver.startswith(("i915", "xe", "intel_vpu")):
            found.add("OpenVINOExecutionProvider")
    return tuple(name for name in ORDER if name in found)
