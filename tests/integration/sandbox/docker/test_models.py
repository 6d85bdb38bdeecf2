"""Containers of models, by a real guard on a real engine: what they get, what they outlive, and what is refused."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.backends.contract import BackendContext, Plan, Readiness, Running, Sign
from appliance.inference.backends.trtllm.backend import TensorRT
from appliance.inference.errors import EngineAbsent
from tests.container_engine import PrivateEngine
from tests.contract.inference.members import HARDWARE, UNNAMED, on_device, safetensors_model, say
from tests.guard import RunningGuard, start_guard
from tests.model_containers import remove_models
from tests.standins.trtllm.image import build
from tests.wait import wait_for_async

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


@dataclass
class Served:
    """A guard that knows one image, and a backend that asks it."""

    guard: RunningGuard
    image: str
    folder: Path
    plan: Plan
    backend: TensorRT

    def restart_guard(self) -> None:
        self.guard.kill()
        folder, engine = self.guard.home.path.parent, self.guard.engine
        self.guard = start_guard(folder, engine, MILLWRIGHT_MODEL_IMAGES=f"trtllm=1.2.1@{self.image}")

    def inspected(self, name: str) -> dict[str, Any]:
        with self.guard.engine.client() as client:
            found: dict[str, Any] = client.inspect_container(name)
        return found


@pytest.fixture(scope="module")
def image(networked_engine: PrivateEngine) -> str:
    return build(networked_engine)


@pytest.fixture
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-models-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def served(networked_engine: PrivateEngine, image: str, folder: Path) -> Iterator[Served]:
    settings = {"MILLWRIGHT_MODEL_IMAGES": f"trtllm=1.2.1@{image}"}
    guard = start_guard(folder, networked_engine, **settings)
    home = guard.home
    model, place = safetensors_model(home.path / "models", version="1.2.1")
    context = BackendContext(
        home.id, home.path / "models", home.path / "work", settings, guard.sandbox(), home.guard_socket
    )
    backend = TensorRT(context)
    plan = backend.plan(model, place, on_device(UNNAMED), HARDWARE, None)
    found = Served(guard, image, place, plan, backend)
    with networked_engine.entered():
        yield found
    remove_models(found.guard)
    found.guard.stop()


async def until(backend: TensorRT, running: Running, sign: Sign) -> Readiness:
    seen = await backend.ready(running)

    async def look() -> bool:
        nonlocal seen
        seen = await backend.ready(running)
        return seen.sign is sign

    await wait_for_async(look, 60, what=f"the engine is {sign.value}")
    return seen


@asynccontextmanager
async def started(served: Served) -> AsyncIterator[Running]:
    running = await served.backend.start(served.plan, 1)
    yield running
    await served.backend.stop(running, 3.0)
    await served.backend.close()


async def test_it_is_confined_and_outlives_guard_and_is_taken_away_whole(served: Served) -> None:
    async with started(served) as running:
        await until(served.backend, running, Sign.READY)
        found = served.inspected(running.name)
        host = found["HostConfig"]
        assert (host["CapDrop"], host["ReadonlyRootfs"], host["Privileged"]) == (["ALL"], True, False)
        assert not found["Config"]["User"].startswith("0:")
        assert host["PortBindings"] in ({}, None)
        served.restart_guard()
        assert (await served.backend.ready(running)).sign is Sign.READY
        assert [one.name for one in await served.backend.found()] == [running.name]
        assert found["State"]["Pid"] == served.inspected(running.name)["State"]["Pid"]
        assert (await served.backend.stats(running)).memory
    with served.guard.engine.client() as client:
        assert client.containers(all=True, filters={"name": running.name}) == []
        left = client.volumes(filters={"label": f"millwright.home={served.guard.home.id}"})["Volumes"]
        assert not left
    (kept,) = (served.guard.home.path / "cache" / "engines").iterdir()
    assert (kept / "engine").is_dir()


async def test_with_guard_away_what_runs_is_still_known_to_run(served: Served) -> None:
    async with started(served) as running:
        await until(served.backend, running, Sign.READY)
        served.guard.kill()
        assert (await served.backend.ready(running)).sign is Sign.READY
        served.restart_guard()


async def test_a_container_that_somebody_else_removed_is_gone_and_can_be_started_again(
    served: Served,
) -> None:
    async with started(served) as running:
        await until(served.backend, running, Sign.READY)
        with served.guard.engine.client() as client:
            client.remove_container(running.name, force=True)
        seen = await until(served.backend, running, Sign.GONE)
        assert seen.reason
        assert await served.backend.found() == []
    async with started(served) as again:
        await until(served.backend, again, Sign.READY)


async def test_want_of_memory_is_told_as_such(served: Served) -> None:
    say(served.folder, version="1.2.1", eat=True)
    small = replace(served.plan, footprint=replace(served.plan.footprint, memory=0), shared_memory=1 << 20)
    served.plan = replace(small, model=small.model.model_copy(update={"files": small.model.files[:1]}))
    async with started(served) as running:
        seen = await until(served.backend, running, Sign.GONE)
        assert seen.out_of_memory
        assert seen.exit_status == 137
        assert "memory" in seen.reason
        assert "Allocating the KV cache" in seen.reason


async def test_another_image_another_folder_and_another_program_are_refused(served: Served) -> None:
    home = served.guard.home.path
    with pytest.raises(EngineAbsent, match="none that the box's settings name"):
        await served.backend.start(replace(served.plan, image=served.guard.engine.image), 1)
    with pytest.raises(EngineAbsent, match="does not lie below"):
        await served.backend.start(replace(served.plan, folder=home / "secrets"), 1)
    with pytest.raises(EngineAbsent, match="and nothing else"):
        await served.backend.start(replace(served.plan, argv=("/usr/bin/python3", "-c", "1")), 1)
    await served.backend.close()


async def test_nothing_leads_out_of_this_machine(served: Served) -> None:
    async with started(served) as running:
        await until(served.backend, running, Sign.READY)
        with served.guard.engine.client() as client:
            network = client.inspect_network(f"millwright-{served.guard.home.id}-models")
        assert network["Internal"] is True
        assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"
        assert list(served.inspected(running.name)["NetworkSettings"]["Networks"]) == [network["Name"]]
