"""From a model and how it is to be served to what the engine is told."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from appliance.inference.backends.contract import Bounds, Footprint, Plan, Profile
from appliance.inference.backends.options import checked
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from appliance.inference.hardware.domain import Hardware
from appliance.inference.scheduling.memory import estimate

ENGINE = Path(__file__).with_name("engine.py")
LIBRARY = "xllamacpp"
"""The wheel that brings the engine."""
CONFIG = "engine.json"
ALL_LAYERS, NO_LAYERS = 999, 0
OPTIONS: Mapping[str, Bounds] = {
    "threads": (1, 256),
    "gpu_layers": (0, 999),
    "cache_mib": (0, 65536),
}
"""What an operator may say, each with its bounds."""


def plan(
    model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
) -> Plan:
    """Raises ModelRefused."""
    check(model, profile)
    known = options_of(profile)
    config = {
        "name": model.name,
        "model": str(folder / model.main),
        "context": profile.context,
        "slots": profile.slots,
        "embeddings": model.embeddings,
        "threads": known.get("threads", max(1, hardware.processor.cores // 2)),
        "gpu_layers": known.get("gpu_layers", ALL_LAYERS if profile.device else NO_LAYERS),
        "cache_mib": known.get("cache_mib", 0),
    }
    return Plan(
        model=model,
        folder=folder,
        profile=profile,
        footprint=learned or estimate(model, profile),
        argv=(sys.executable, "-I", str(ENGINE), CONFIG),
        environment=_environment(profile, hardware),
        files={CONFIG: json.dumps(config)},
    )


def check(model: Manifest, profile: Profile) -> None:
    """Whether llama.cpp can serve it so. Raises ModelRefused."""
    if model.format is not ModelFormat.GGUF:
        raise ModelRefused(
            f"llama.cpp reads GGUF, and {model.name} is {model.format.value}",
            hint="serve it with vllm or trtllm, or convert it",
        )
    if model.context and profile.context > model.context:
        raise ModelRefused(
            f"{model.name} was made for {model.context} tokens, and {profile.context} are asked for",
            hint=f"at most context: {model.context}",
        )


def options_of(profile: Profile) -> dict[str, int]:
    """Raises ModelRefused."""
    return {name: int(value) for name, value in checked("llama.cpp", profile, OPTIONS).items()}


def _environment(profile: Profile, hardware: Hardware) -> dict[str, str]:
    """It sees the one device that it was given; of the processor no more threads than it may have."""
    found = {"OMP_NUM_THREADS": str(max(1, hardware.processor.cores)), "PATH": os.defpath}
    device = next((one for one in hardware.accelerators if one.id == profile.device), None)
    if device is not None:
        hide = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "ROCR_VISIBLE_DEVICES"}.get(device.vendor.value)
        if hide and device.visible_as:  # a name that the driver does not know would hide the device itself
            found[hide] = device.visible_as
    else:
        found |= {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}
    return found
