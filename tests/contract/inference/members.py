"""Every way in which a model can be served on a machine without a GPU, ready for the suite that all of them keep."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.inference.backends.contract import Backend, Profile
from appliance.inference.catalogue.manifest import Manifest, ModelFile, Shape
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.hardware.domain import Accelerator, Hardware, Processor, Vendor
from tests.tiny_model import write_tiny_model

GPU = "GPU-11111111-2222-3333-4444-555555555555"
UNNAMED = "0000:01:00.0"
"""One that container engines have no name for: none of it is given to a container."""
HARDWARE = Hardware(
    Processor("cpu", 2),
    16 << 30,
    12 << 30,
    tuple(
        Accelerator(id, Vendor.NVIDIA, "a GPU that is not there", memory_total=24 << 30, memory_used=0)
        for id in (GPU, UNNAMED)
    ),
)
CONTEXT = 256


@dataclass(frozen=True, slots=True)
class Member:
    """``build`` makes a backend as a new keeper would; ``kill`` ends the engine of that name by a signal, where the
    engine is this box's own. ``adopts``: whether an engine outlives its keeper."""

    name: str
    build: Callable[[], Backend]
    model: Manifest
    folder: Path
    profile: Profile
    kill: Callable[[str, int], None] | None = None
    adopts: bool = False
    died: Callable[[int], int] = lambda number: 128 + number
    """The exit status after a signal."""


def safetensors_model(models: Path, name: str = "tiny-st", **said: object) -> tuple[Manifest, Path]:
    """A folder as Hugging Face lays it out, for the stand-in of TensorRT-LLM: ``said`` is what it is told to be."""
    folder = models / name / "1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    write_tiny_model(folder / "standin.gguf")
    say(folder, **said)
    return _manifest(folder, name, ModelFormat.SAFETENSORS, "."), folder


def say(folder: Path, **said: object) -> None:
    """From now on the stand-in is like this."""
    (folder / "standin.json").write_text(json.dumps(said))
    open_to_all(folder)


def remote_model(
    models: Path, url: str, served_as: str, name: str = "elsewhere", *, key: str = "far_key"
) -> tuple[Manifest, Path]:
    folder = models / name / "1"
    folder.mkdir(parents=True)
    (folder / "remote.json").write_text(json.dumps({"url": f"{url}/v1", "model": served_as, "key": key}))
    return _manifest(folder, name, ModelFormat.REMOTE, "remote.json"), folder


def on_device(device: str = GPU) -> Profile:
    return Profile(EngineKind.TRTLLM, context=CONTEXT, slots=2, device=device)


def open_to_all(folder: Path) -> None:
    for path in (*folder.parents[:2], folder):
        path.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)


def _manifest(folder: Path, name: str, form: ModelFormat, main: str) -> Manifest:
    files = tuple(
        ModelFile(
            path=path.name, size=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.iterdir())
        if path.name != "standin.json"
    )
    open_to_all(folder)
    return Manifest(
        name=name,
        version="1",
        format=form,
        files=files,
        main=main,
        context=2048,
        shape=Shape(layers=2, kv_heads=4, head_size=64),
        chat_template=True,
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
