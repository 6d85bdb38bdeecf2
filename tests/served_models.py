"""A model repository with a tiny model in it, and a keeper that serves it with real llama.cpp."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from appliance.inference.backends.contract import Profile
from appliance.inference.catalogue.manifest import Manifest, ModelFile, Shape
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.scheduling.ports import Served
from tests.tiny_model import write_tiny_model


def tiny_served(models: Path, name: str = "tiny", *, slots: int = 2, seed: int = 0) -> Served:
    """The tiny model below ``models``, served by llama.cpp on the processor."""
    folder = models / name / "1"
    folder.mkdir(parents=True)
    file = write_tiny_model(folder / "model.gguf", seed=seed)
    for path in (models, folder.parent, folder):
        path.chmod(0o755)
    file.chmod(0o644)
    manifest = Manifest(
        name=name,
        version="1",
        format=ModelFormat.GGUF,
        files=(
            ModelFile(
                path=file.name, size=file.stat().st_size, sha256=hashlib.sha256(file.read_bytes()).hexdigest()
            ),
        ),
        main=file.name,
        architecture="llama",
        context=2048,
        shape=Shape(layers=2, kv_heads=4, head_size=64),
        chat_template=True,
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    profile = Profile(EngineKind.LLAMACPP, context=1024, slots=slots, options={"threads": 1})
    return Served(manifest, folder, profile)
