"""What the tools that make another model of one may have: by the box's settings, and by what they are."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.lib.model_images import ModelImage
from appliance.sandbox.docker.mounts import Allowed, Mount, close
from appliance.sandbox.docker.request import ModelJob
from appliance.sandbox.process.request import Refused

PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "llamacpp-tools": ("python3", "/app/convert_hf_to_gguf.py"),
    "modelopt": ("python", "/opt/modelopt/examples/llm_ptq/hf_ptq.py"),
}
"""With what a command line begins, by the tool that the settings name. The second is of
github.com/NVIDIA/TensorRT-Model-Optimizer, in an image of one's own."""

ENVIRONMENT: Mapping[str, str] = {
    "HF_HUB_OFFLINE": "1",
    "HOME": "/tmp",  # noqa: S108 - inside the container
    "TRANSFORMERS_OFFLINE": "1",
    "TRTLLM_NO_USAGE_STATS": "1",
}
"""With their values: Python runs what lies in ``.local`` below HOME, which another place could bring along."""


class _Value(StrEnum):
    READ = "one of the folders that it reads"
    WRITTEN = "the folder that it writes"
    IN_WRITTEN = "a file directly in the folder that it writes"


_OPTIONS: Mapping[str, Mapping[str, _Value | re.Pattern[str]]] = {
    "llamacpp-tools": {"--outtype": re.compile("bf16"), "--outfile": _Value.IN_WRITTEN},
    "modelopt": {
        "--pyt_ckpt_path": _Value.READ,
        "--qformat": re.compile("int4_awq|nvfp4|fp8"),
        "--export_path": _Value.WRITTEN,
        "--calib_size": re.compile("[0-9]{1,5}"),
        "--dataset": _Value.READ,
        "--kv_cache_qformat": re.compile("none"),
    },
}
_OPERANDS: Mapping[str, int] = {"llamacpp-tools": 1, "modelopt": 0}
"""How many words stand alone behind the options: folders that it reads."""
_WITH_DEVICE = frozenset({"modelopt"})
_PLACE = re.compile(r"job-[0-9a-f]{1,32}/output")
"""Below where versions grow, as ``quantise`` lays a job out."""


@dataclass(frozen=True, slots=True)
class ModelJobs:
    """``allowed``: what may be read are this box's models and what containers may read; written, what is on its way
    to become one. ``incoming``: below which a job has the one folder that it writes."""

    images: tuple[ModelImage, ...]
    allowed: Allowed
    incoming: Path = Path("/nowhere")

    def check(self, request: ModelJob) -> None:
        """Raises Refused."""
        settings = next((one for one in self.images if one.image == request.image), None)
        program = PROGRAMS.get(settings.engine) if settings else None
        if settings is None or program is None:
            raise Refused(
                f"The image {request.image} is none that the box's settings name for tools of models.",
                "An administrator names them, by digest, in MILLWRIGHT_MODEL_IMAGES: llamacpp-tools, modelopt.",
            )
        if request.argv[: len(program)] != program:
            raise Refused(f"An image of {settings.engine} runs `{' '.join(program)}`, and nothing else.")
        _check_beside(request, settings.engine)
        _check_words(request, settings.engine, request.argv[len(program) :])

    def open(self, request: ModelJob) -> list[Mount]:
        """What it reads and writes, held open as ``Allowed`` does; the caller closes them. Raises Refused."""
        mounts = self.allowed.open(request.reads, request.writes)
        root = os.path.realpath(self.incoming)
        for mount in mounts:
            # Where it really lies: the services own these folders, and could put a link in the place of one.
            if mount.writable and not _is_place(mount.source, root):
                close(mounts)
                raise Refused(f"{mount.path} is no folder of a job of its own, which alone a tool writes.")
        return mounts


def _is_place(real: str, root: str) -> bool:
    return real.startswith(f"{root}/") and _PLACE.fullmatch(real.removeprefix(f"{root}/")) is not None


def _check_beside(request: ModelJob, tool: str) -> None:
    """All but the command line."""
    if unknown := [name for name, value in request.env.items() if ENVIRONMENT.get(name) != value]:
        raise Refused(f"The environment of a tool of models has no {unknown[0]} of that value.")
    if request.files or request.checkpoint:
        raise Refused("A tool of models has neither files of its own nor a checkpoint.")
    if len(request.writes) != 1:
        raise Refused("A tool of models writes one folder, neither more nor less.")
    if request.device and tool not in _WITH_DEVICE:
        raise Refused(f"{tool} works without a device.")


def _check_words(request: ModelJob, tool: str, words: tuple[str, ...]) -> None:
    """Each option once, with a value of its own behind it; then the operands. No other form of one is read."""
    known, count = _OPTIONS[tool], _OPERANDS[tool]
    options, operands = words[: len(words) - count], words[len(words) - count :]
    names, values = options[::2], options[1::2]
    if len(names) != len(values) or len(operands) != count or len(set(names)) != len(names):
        raise Refused(f"{tool} takes each option once, with its value, and {count} folder(s) behind them.")
    used = set(operands)
    for name, value in zip(names, values, strict=True):
        wanted = known.get(name)
        if wanted is None:
            raise Refused(f"{tool} is given no such option here: it has {', '.join(known)}.")
        if not _fits(value, wanted, request):
            raise Refused(f"{name} of {tool} is not what it may be: {_described(wanted)}.")
        if wanted is _Value.READ:
            used.add(value)
    if used != set(request.reads):
        raise Refused(f"{tool} reads just the folders that its command line names.")


def _fits(value: str, wanted: _Value | re.Pattern[str], request: ModelJob) -> bool:
    match wanted:
        case _Value.READ:
            return value in request.reads
        case _Value.WRITTEN:
            return value in request.writes
        case _Value.IN_WRITTEN:
            folder, _, name = value.rpartition("/")
            return folder in request.writes and name not in ("", ".", "..")
        case _:
            return wanted.fullmatch(value) is not None


def _described(wanted: _Value | re.Pattern[str]) -> str:
    return wanted.value if isinstance(wanted, _Value) else wanted.pattern
