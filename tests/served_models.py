"""A model repository with a tiny model in it, and a keeper that serves it with real llama.cpp."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from appliance.inference.backends.contract import Backend, BackendContext, Profile
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.backends.remote.backend import Remote
from appliance.inference.catalogue.manifest import Manifest, ModelFile, Shape
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.ports import Served
from appliance.inference.scheduling.server import KeeperServer
from appliance.lib.clock import SystemClock
from appliance.sandbox.ports import Sandbox
from tests.contract.inference.members import remote_model
from tests.engine_room import Records, Shelf
from tests.tiny_model import write_tiny_model
from tests.wait import wait_for


def tiny_served(
    models: Path,
    name: str = "tiny",
    *,
    slots: int = 2,
    seed: int = 0,
    vectors: bool = False,
    context: int = 1024,
    terse: float = 0.0,
) -> Served:
    """The tiny model below ``models``, served by llama.cpp on the processor."""
    folder = models / name / "1"
    folder.mkdir(parents=True)
    trained = max(2048, context)
    file = write_tiny_model(folder / "model.gguf", seed=seed, vectors=vectors, context=trained, terse=terse)
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
        context=trained,
        shape=Shape(layers=2, kv_heads=4, head_size=64),
        chat_template=True,
        embeddings=vectors,
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    profile = Profile(EngineKind.LLAMACPP, context=context, slots=slots, options={"threads": 1})
    return Served(manifest, folder, profile)


def far_served(models: Path, url: str, name: str = "far") -> Served:
    """A model that the server at ``url`` serves, under the same name."""
    manifest, folder = remote_model(models, url, name, name, key="")
    return Served(manifest, folder, Profile(EngineKind.REMOTE, context=1024, slots=2))


@contextmanager
def kept(
    models: Sequence[Served],
    place: Path,
    socket: Path,
    sandbox: Sandbox,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[None]:
    """A keeper of these models with real llama.cpp, in a thread of its own, for tests that have no loop."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=(_keep(models, place, socket, sandbox, settings, stop),)
    )
    thread.start()
    try:
        wait_for(socket.exists)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
        socket.unlink(missing_ok=True)


async def _keep(
    models: Sequence[Served],
    place: Path,
    socket: Path,
    sandbox: Sandbox,
    settings: Mapping[str, str],
    stop: asyncio.Event,
) -> None:
    context = BackendContext("home", place / "models", place / "work", settings, sandbox)
    backends: dict[EngineKind, Backend] = {
        EngineKind.LLAMACPP: LlamaCpp(context),
        EngineKind.REMOTE: Remote(context),
    }
    trial = Completion(backends)
    keeper = Keeper(Shelf(models), Records(), backends, _hardware, trial, SystemClock())
    running = [asyncio.create_task(keeper.run()), asyncio.create_task(KeeperServer(keeper, socket).serve())]
    await stop.wait()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await trial.close()
    for backend in backends.values():
        await backend.close()


async def _hardware() -> Hardware:
    return Hardware(Processor("cpu", 2), 16 << 30, 12 << 30)
