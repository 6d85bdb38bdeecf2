"""What a plan for an engine in a container begins with: the right kind of model, device and image; how much memory."""

from collections.abc import Mapping, Sequence

from appliance.inference.backends.contract import Footprint, Profile
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from appliance.inference.hardware.domain import Accelerator, Hardware, Vendor
from appliance.inference.scheduling.memory import kv_bytes
from appliance.lib.environment import ConfigInvalid
from appliance.lib.model_images import ModelImage, model_images

IMAGES = "MILLWRIGHT_MODEL_IMAGES"
OWN = "/cache/engine"
"""Where an engine in a container may write for longer than it lives."""
JIT_STALL = 1800.0
"""Seconds without a line: compiling for a device that it has not seen before takes many minutes (44 were measured)."""


def images_of(settings: Mapping[str, str], engine: str) -> Sequence[ModelImage]:
    """Those that the operator named for it. What cannot be read counts as none: guard says what is wrong with it."""
    items = [item.strip() for item in settings.get(IMAGES, "").split(",") if item.strip()]
    try:
        return [one for one in model_images(items) if one.engine == engine]
    except ConfigInvalid:
        return []


def no_image(engine: str) -> tuple[str, str]:
    """What is lacking, and what to do."""
    return (
        f"no image of {engine} is named on this box",
        f"pull one, and name it by its digest in {IMAGES}: {engine}=VERSION@REPOSITORY@sha256:…",
    )


def check_format(engine: str, model: Manifest, formats: frozenset[ModelFormat]) -> None:
    if model.format not in formats:
        raise ModelRefused(
            f"{engine} does not read {model.format.value}, which {model.name} is",
            hint="serve it with llamacpp"
            if model.format is ModelFormat.GGUF
            else "convert it, or take another engine",
        )


def check_context(model: Manifest, profile: Profile) -> None:
    if model.context and profile.context > model.context:
        raise ModelRefused(
            f"{model.name} was made for {model.context} tokens, and {profile.context} are asked for",
            hint=f"at most context: {model.context}",
        )


def device_of(engine: str, profile: Profile, hardware: Hardware, vendors: frozenset[Vendor]) -> Accelerator:
    """The device that it is to run on. Raises ModelRefused."""
    found = next((one for one in hardware.accelerators if one.id == profile.device), None)
    if found is None:
        raise ModelRefused(
            f"there is no device {profile.device} on this machine"
            if profile.device
            else f"{engine} runs on a device, and none is named",
            hint=", ".join(one.id for one in hardware.accelerators)
            or "serve it with llamacpp on the processor",
        )
    if found.vendor not in vendors:
        raise ModelRefused(
            f"{engine} does not run on {found.name} here",
            hint=f"devices of {' or '.join(sorted(vendor.value for vendor in vendors))}",
        )
    return found


def cache_environment() -> dict[str, str]:
    """The root file system cannot be written: every cache goes to the volume, and nothing is asked of the network."""
    return {
        "HOME": OWN,
        "XDG_CACHE_HOME": f"{OWN}/.cache",
        "TRITON_CACHE_DIR": f"{OWN}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{OWN}/inductor",
        "FLASHINFER_WORKSPACE_BASE": OWN,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
    }


def conversations_share(model: Manifest, profile: Profile, device: Accelerator, most: float) -> float:
    """Which part of what is free once the weights are there the conversations get; never all that can be had."""
    wanted = kv_bytes(model, profile)
    if not device.memory_total:
        return round(most / 2, 3)
    free = device.memory_total - (device.memory_used or 0) - model.size
    return round(min(max(wanted / max(free, 1), 0.02), most), 3)


def reserved_share(footprint: Footprint, device: Accelerator, most: float) -> float:
    """Which part of the whole device the reservation is."""
    if not device.memory_total:
        return round(most / 2, 3)
    return round(min(max(footprint.device / device.memory_total, 0.02), most), 3)
