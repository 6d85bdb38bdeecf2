"""From a model and how it is to be served to a command line of three words and one YAML file."""

from pathlib import Path

import yaml

from appliance.inference.backends.contract import Bounds, Footprint, Plan, Profile
from appliance.inference.backends.fitting import (
    JIT_STALL,
    OWN,
    cache_environment,
    check_context,
    check_format,
    conversations_share,
    device_of,
)
from appliance.inference.backends.options import Options, checked
from appliance.inference.backends.trtllm.capabilities import Capabilities
from appliance.inference.catalogue.manifest import Manifest
from appliance.inference.domain import ModelFormat
from appliance.inference.errors import ModelRefused
from appliance.inference.hardware.domain import Accelerator, Hardware, Vendor
from appliance.inference.scheduling.memory import estimate, kv_bytes
from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker.model_blueprint import MODELS, WORK

ENGINE = "trtllm"
FORMATS = frozenset({ModelFormat.SAFETENSORS})
VENDORS = frozenset({Vendor.NVIDIA})
CONFIG, PORT = "engine.yaml", 8000
_MOST_SHARE = 0.85
_LEAST_BATCH_TOKENS = 2048
_SHARED_MEMORY = 4 << 30
_CACHE_TYPES = frozenset({"auto", "fp8"})


def plan(
    model: Manifest,
    folder: Path,
    profile: Profile,
    hardware: Hardware,
    learned: Footprint | None,
    image: ModelImage,
    known: Capabilities,
) -> Plan:
    """Raises ModelRefused."""
    check_format(ENGINE, model, FORMATS)
    check_context(model, profile)
    if model.embeddings:
        raise ModelRefused(f"{ENGINE} gives no vectors here", hint="serve an encoder with llamacpp or vllm")
    device = device_of(ENGINE, profile, hardware, VENDORS)
    options = checked(ENGINE, profile, _bounds(known))
    place = f"{MODELS}/{model.name}"
    argv = ["trtllm-serve", place, "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 - inside the container
    argv += [known.config_flag, f"{WORK}/{CONFIG}"]
    if "tool_parser" in options:  # of the server, not of the engine: no key of the file says it
        argv += ["--tool_parser", str(options["tool_parser"])]
    return Plan(
        model=model,
        folder=folder,
        profile=profile,
        footprint=learned or estimate(model, profile),
        argv=tuple(argv),
        environment=_environment(),
        files={CONFIG: _config(model, profile, device, known, options)},
        image=image.image,
        port=PORT,
        stall=float(options.get("start_stall_seconds", JIT_STALL)),
        shared_memory=_SHARED_MEMORY,
        accelerator=device,
    )


def _bounds(known: Capabilities) -> dict[str, Bounds]:
    return options_with(known.tool_parsers)


def options_with(tool_parsers: frozenset[str]) -> dict[str, Bounds]:
    return {
        "tool_parser": tool_parsers,
        "cache_type": _CACHE_TYPES,
        "start_stall_seconds": (60, 7200),
    }


def _config(
    model: Manifest, profile: Profile, device: Accelerator, known: Capabilities, options: Options
) -> str:
    cache: dict[str, object] = {
        "max_tokens": profile.context * profile.slots,
        "free_gpu_memory_fraction": conversations_share(model, profile, device, _MOST_SHARE),
        "enable_block_reuse": True,
        "dtype": options.get("cache_type", "auto"),
    }
    if known.cache_by_bytes:
        cache["max_gpu_total_bytes"] = kv_bytes(model, profile)
    config = {
        "max_batch_size": profile.slots,
        "max_seq_len": profile.context,
        # A prompt goes in whole: less than the context would refuse long ones.
        "max_num_tokens": max(profile.context, _LEAST_BATCH_TOKENS),
        "kv_cache_config": cache,
        "cuda_graph_config": {"enable_padding": True, "max_batch_size": profile.slots},
        "guided_decoding_backend": "xgrammar",
        "enable_iter_perf_stats": True,
        "return_perf_metrics": True,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _environment() -> dict[str, str]:
    return {
        **cache_environment(),
        "TRTLLM_NO_USAGE_STATS": "1",
        "TLLM_AUTOTUNER_CACHE_PATH": f"{OWN}/autotuner.json",
        "TLLM_WORKER_USE_SINGLE_PROCESS": "1",
    }
