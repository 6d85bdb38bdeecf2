"""From a model and how it is to be served to vLLM's command line."""

from pathlib import Path

from appliance.inference.backends.contract import Bounds, Footprint, Plan, Profile
from appliance.inference.backends.fitting import (
    JIT_STALL,
    OWN,
    cache_environment,
    check_context,
    check_format,
    device_of,
    reserved_share,
)
from appliance.inference.backends.options import checked
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import ModelFormat
from appliance.inference.hardware.domain import Hardware, Vendor
from appliance.inference.scheduling.memory import estimate
from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker.model_blueprint import MODELS

ENGINE = "vllm"
FORMATS = frozenset({ModelFormat.SAFETENSORS})
PORT = 8000
OPTIONS: dict[str, Bounds] = {
    "tool_parser": frozenset({"hermes", "llama3_json", "mistral", "qwen3"}),
    "start_stall_seconds": (60, 7200),
}
_MOST_SHARE = 0.9
_SHARED_MEMORY = 4 << 30


def plan(
    model: Manifest,
    folder: Path,
    profile: Profile,
    hardware: Hardware,
    learned: Footprint | None,
    image: ModelImage,
) -> Plan:
    """Raises ModelRefused."""
    check_format(ENGINE, model, FORMATS)
    check_context(model, profile)
    vendor = Vendor.AMD if "rocm" in image.flags else Vendor.NVIDIA
    device = device_of(ENGINE, profile, hardware, frozenset({vendor}))
    options = checked(ENGINE, profile, OPTIONS)
    footprint = learned or estimate(model, profile)
    argv = ["vllm", "serve", f"{MODELS}/{model.name}", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - inside
    argv += ["--served-model-name", model.name]
    argv += ["--max-model-len", str(profile.context), "--max-num-seqs", str(profile.slots)]
    # Of the whole device: what is reserved, never all that could be had.
    argv += ["--gpu-memory-utilization", str(reserved_share(footprint, device, _MOST_SHARE))]
    if "tool_parser" in options:
        argv += ["--enable-auto-tool-choice", "--tool-call-parser", str(options["tool_parser"])]
    return Plan(
        model=model,
        folder=folder,
        profile=profile,
        footprint=footprint,
        argv=tuple(argv),
        environment={**cache_environment(), "VLLM_NO_USAGE_STATS": "1", "HOME": OWN},
        image=image.image,
        port=PORT,
        stall=float(options.get("start_stall_seconds", JIT_STALL)),
        shared_memory=_SHARED_MEMORY,
        accelerator=device,
    )
