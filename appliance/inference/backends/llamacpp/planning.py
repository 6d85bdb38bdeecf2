"""From a model and how it is to be served to what the engine is told."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from appliance.inference.backends.contract import Footprint, Plan, Profile
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from appliance.inference.hardware.domain import Hardware
from appliance.inference.scheduling.memory import estimate

ENGINE = Path(__file__).with_name("engine.py")
CONFIG = "engine.json"
ALL_LAYERS, NO_LAYERS = 999, 0
OPTIONS: Mapping[str, tuple[int, int]] = {
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
    found = {}
    for name, value in profile.options.items():
        bounds = OPTIONS.get(name)
        if bounds is None:
            raise ModelRefused(f"llama.cpp has no option `{name}` here", hint=", ".join(sorted(OPTIONS)))
        if not isinstance(value, int) or isinstance(value, bool) or not bounds[0] <= value <= bounds[1]:
            raise ModelRefused(f"`{name}` is a whole number from {bounds[0]} to {bounds[1]}")
        found[name] = value
    return found


def _environment(profile: Profile, hardware: Hardware) -> dict[str, str]:
    """It sees the one device that it was given; of the processor no more threads than it may have."""
    found = {"OMP_NUM_THREADS": str(max(1, hardware.processor.cores)), "PATH": os.defpath}
    device = next((one for one in hardware.accelerators if one.id == profile.device), None)
    if device is not None:
        hide = {"nvidia": "CUDA_VISIBLE_DEVICES", "amd": "ROCR_VISIBLE_DEVICES"}.get(device.vendor.value)
        if hide:
            found[hide] = device.id
    else:
        found |= {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}
    return found
