"""The members: llama.cpp as a process, TensorRT-LLM's stand-in behind a guard, and a server elsewhere."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from appliance.inference.backends.contract import BackendContext
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.backends.remote.backend import Remote
from appliance.inference.backends.trtllm.backend import TensorRT
from appliance.inference.domain import EngineKind
from appliance.sandbox.ports import Sandbox
from tests.container_engine import PrivateEngine
from tests.contract.inference.members import (
    GPU,
    UNNAMED,
    Member,
    on_device,
    remote_model,
    safetensors_model,
)
from tests.guard import start_guard
from tests.model_containers import remove_models
from tests.served_models import tiny_served
from tests.spawner import processes_with, start_spawner
from tests.standins.guard_of_models import SERVE, GuardOfModels
from tests.standins.trtllm.image import build
from tests.wait import wait_for

IMAGE = f"sha256:{'1' * 64}"
SETTINGS = {"MILLWRIGHT_MODEL_IMAGES": f"trtllm=1.2.1@{IMAGE}"}


class NoSandbox:
    """Of backends that run no process."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user can enter."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-backends-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(
    scope="module",
    params=[
        "llamacpp",
        "llamacpp-container",
        "trtllm",
        "remote",
        pytest.param("trtllm-docker", marks=pytest.mark.slow),
    ],
)
def member(request: pytest.FixtureRequest, place: Path) -> Iterator[Member]:
    with ExitStack() as stack:
        if request.param == "trtllm-docker":
            yield _docker(place, stack, request.getfixturevalue("networked_engine"))
            return
        members = {
            "llamacpp": _llamacpp,
            "llamacpp-container": _llamacpp_container,
            "trtllm": _trtllm,
            "remote": _remote,
        }
        made = members[request.param]
        yield made(place, stack)


def _context(
    place: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    guard: Path | None = None,
    sandbox: Sandbox | None = None,
) -> BackendContext:
    async def secret(name: str) -> str:
        return f"value of {name}"

    used = sandbox or NoSandbox()
    return BackendContext("home", place / "models", place / "work", settings, used, guard, secret)  # type: ignore[arg-type]


def _llamacpp(place: Path, stack: ExitStack) -> Member:
    spawner = start_spawner(place)
    stack.callback(spawner.stop)
    served = tiny_served(place / "models")

    def kill(name: str, number: int) -> None:
        for pid in processes_with("backends/llamacpp/engine.py", below=spawner.process.pid):
            os.kill(pid, number)

    def build() -> LlamaCpp:
        return LlamaCpp(_context(place, sandbox=spawner.sandbox))

    return Member(
        "llamacpp", build, served.manifest, served.folder, served.profile, kill, died=lambda number: -number
    )


def _llamacpp_container(place: Path, stack: ExitStack) -> Member:
    guard = stack.enter_context(GuardOfModels(place, "home", {IMAGE: "llamacpp"}))
    served = tiny_served(place / "models", "tiny-c")

    def kill(name: str, number: int) -> None:
        guard.kill(name, signal.Signals(number))

    def build() -> LlamaCpp:
        settings = {"MILLWRIGHT_MODEL_IMAGES": f"llamacpp=b6000@{IMAGE}"}
        return LlamaCpp(_context(place, settings, guard=guard.door))

    profile = replace(served.profile, device=GPU)
    return Member("llamacpp-container", build, served.manifest, served.folder, profile, kill, adopts=True)


def _trtllm(place: Path, stack: ExitStack) -> Member:
    guard = stack.enter_context(GuardOfModels(place, "home", {IMAGE: "trtllm"}))
    model, folder = safetensors_model(place / "models", version="1.2.1")

    def kill(name: str, number: int) -> None:
        guard.kill(name, signal.Signals(number))

    def build() -> TensorRT:
        return TensorRT(_context(place, SETTINGS, guard=guard.door))

    return Member("trtllm", build, model, folder, on_device(), kill, adopts=True)


def _docker(place: Path, stack: ExitStack, engine: PrivateEngine) -> Member:
    """The stand-in in a real container, made by a real guard."""
    image = build(engine)
    settings = {"MILLWRIGHT_MODEL_IMAGES": f"trtllm=1.2.1@{image}"}
    guard = start_guard(place, engine, **settings)
    stack.callback(guard.stop)
    stack.callback(remove_models, guard)
    stack.enter_context(engine.entered())
    model, folder = safetensors_model(guard.home.path / "models", version="1.2.1")

    def kill(name: str, number: int) -> None:
        """What runs in it, not the init beside it."""
        with engine.client() as client:
            rows = client.top(name, "-o pid,args")["Processes"]
        for pid, words in rows:
            if "docker-init" not in words:
                os.kill(int(pid), number)

    def made() -> TensorRT:
        return TensorRT(
            replace(_context(place, settings, guard=guard.home.guard_socket), home_id=guard.home.id)
        )

    return Member("trtllm-docker", made, model, folder, on_device(UNNAMED), kill, adopts=True)


def _remote(place: Path, stack: ExitStack) -> Member:
    """Some other machine's server: the same stand-in, which this box did not start."""
    _, there = safetensors_model(place / "there", "tiny-st", version="1.2.1")
    config = place / "there.yaml"
    config.write_text("{max_batch_size: 2, max_seq_len: 256, guided_decoding_backend: xgrammar}")
    log = place / "there.log"
    port = 21000 + os.getpid() % 9000
    with log.open("wb") as out:
        words = [str(there), "--host", "127.0.0.1", "--port", str(port), "--config", str(config)]
        process = subprocess.Popen([sys.executable, "-I", str(SERVE), *words], stdout=out, stderr=out)
    stack.callback(process.wait)
    stack.callback(process.kill)
    wait_for(lambda: "startup complete" in log.read_text(), 30, "the server elsewhere serves")
    url = f"http://127.0.0.1:{port}"
    model, folder = remote_model(place / "models", url, "tiny-st")
    profile = on_device()

    def build() -> Remote:
        return Remote(_context(place, {"MILLWRIGHT_REMOTE_MODELS": url}))

    return Member("remote", build, model, folder, replace(profile, engine=EngineKind.REMOTE, device=""))
