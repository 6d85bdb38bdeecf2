"""Jobs of the tools containers: safetensors to GGUF, or to four bits for TensorRT-LLM.

They need torch, some of them a GPU, and no network. This box runs them by way of guard, or prints them for whoever has
the image.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.inference.errors import ModelRefused
from appliance.inference.quantise.recipe import Recipe
from appliance.sandbox.docker.model_jobs import PROGRAMS

CONVERTER, MODELOPT = "llamacpp-tools", "modelopt"
"""The tools, as the box's settings name their images."""
LLAMACPP_IMAGE = "ghcr.io/ggml-org/llama.cpp:full"
INPUT, OUTPUT, CALIBRATION = "/input", "/output", "/calibration"
_SCRATCH = "/tmp"  # noqa: S108 - inside the container
_QFORMAT: Mapping[tuple[int, bool], str] = {
    (4, True): "nvfp4", (4, False): "int4_awq", (8, True): "fp8", (8, False): "fp8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolJob:
    """One container, destroyed afterwards. ``mounts``: source, place, whether it may be written."""

    tool: str
    image: str
    argv: tuple[str, ...]
    mounts: tuple[tuple[str, str, bool], ...]
    environment: Mapping[str, str]
    gpus: bool
    memory_bytes: int
    then: str
    """What is to be done with what it has made."""

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def argv_at(self, places: Mapping[str, Path]) -> tuple[str, ...]:
        """The command line where what it reads and writes lies at other places."""
        return tuple(_placed(word, places) for word in self.argv)

    def as_command(self) -> str:
        """For a shell on a machine with the image."""
        words = ["docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL", "--read-only"]
        words += [
            "--security-opt",
            "no-new-privileges",
            "--tmpfs",
            _SCRATCH,
            "--memory",
            str(self.memory_bytes),
        ]
        if self.gpus:
            words += ["--gpus", "all", "--shm-size", "8g"]
        for source, place, writes in self.mounts:
            words += ["-v", f"{source}:{place}{'' if writes else ':ro'}"]
        for name, value in self.environment.items():
            words += ["-e", f"{name}={value}"]
        return shlex.join([*words, "--entrypoint", self.argv[0], self.image, *self.argv[1:]])


def to_gguf(folder: Path, output: Path, recipe: Recipe, size: int, image: str = "") -> ToolJob:
    """Safetensors to a GGUF file in BF16, by llama.cpp's converter; quantising it is this box's own work then."""
    made = f"{folder.name}-BF16.gguf"
    return ToolJob(
        tool=CONVERTER,
        image=image or LLAMACPP_IMAGE,
        argv=(*PROGRAMS[CONVERTER], "--outtype", "bf16", "--outfile", f"{OUTPUT}/{made}", INPUT),
        mounts=((str(folder.absolute()), INPUT, False), (str(output.absolute()), OUTPUT, True)),
        environment={"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HOME": _SCRATCH},
        gpus=False,
        memory_bytes=max(8 << 30, size + (4 << 30)),
        then=f"manage.py quantize --input {output / made} --output {output} --type {recipe.value}",
    )


def for_trtllm(
    folder: Path,
    output: Path,
    bits: int,
    size: int,
    *,
    blackwell: bool,
    calibration: Path | None,
    image: str,
) -> ToolJob:
    """NVIDIA's Model Optimizer. The format depends on the GPU: Blackwell has FP4, Ampere to Hopper have AWQ.

    Its own calibration texts would be downloaded: a folder with some has to be given. Raises ModelRefused.
    """
    qformat = _QFORMAT.get((bits, blackwell))
    if qformat is None:
        raise ModelRefused(
            f"{bits} bits are none of Model Optimizer's formats here", hint="--bits 4 or --bits 8"
        )
    if not image:
        raise ModelRefused(
            "which image has Model Optimizer is not known",
            hint="--image NAME@sha256:…, or modelopt=VERSION@NAME@sha256:… in MILLWRIGHT_MODEL_IMAGES",
        )
    if calibration is None:
        raise ModelRefused(
            "Model Optimizer needs texts to calibrate with, and would download some",
            hint="--calibration DIR with a data set on this box",
        )
    return ToolJob(
        tool=MODELOPT,
        image=image,
        argv=(
            *PROGRAMS[MODELOPT], "--pyt_ckpt_path", INPUT, "--qformat", qformat,
            "--export_path", OUTPUT, "--calib_size", "128", "--dataset", CALIBRATION, "--kv_cache_qformat", "none",
        ),
        mounts=(
            (str(folder.absolute()), INPUT, False),
            (str(calibration.absolute()), CALIBRATION, False),
            (str(output.absolute()), OUTPUT, True),
        ),
        environment={
            "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRTLLM_NO_USAGE_STATS": "1", "HOME": _SCRATCH,
        },
        gpus=True,
        memory_bytes=max(16 << 30, 2 * size),
        then=f"manage.py models import {output} --name NAME",
    )  # fmt: skip


def _placed(word: str, places: Mapping[str, Path]) -> str:
    for place, real in places.items():
        if word == place or word.startswith(f"{place}/"):
            return f"{real}{word.removeprefix(place)}"
    return word
