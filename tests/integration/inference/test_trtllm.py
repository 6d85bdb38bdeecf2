"""TensorRT-LLM's ways to fail, as its stand-in has them: each is told in words, and none is taken for progress."""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from appliance.inference.backends.contract import BackendContext, Plan, Readiness, Running, Sign
from appliance.inference.backends.trtllm.backend import TensorRT
from appliance.inference.domain import EngineKind
from appliance.inference.errors import EngineAbsent
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.ports import Served
from tests.contract.inference.members import HARDWARE, on_device, safetensors_model, say
from tests.standins.guard_of_models import GuardOfModels
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
IMAGE = f"sha256:{'1' * 64}"


@pytest.fixture
def guard() -> Iterator[GuardOfModels]:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-trt-"))
    with GuardOfModels(folder, "home", {IMAGE: "trtllm"}) as running:
        yield running
    shutil.rmtree(folder)


def backend_of(guard: GuardOfModels, version: str = "1.2.1", image: str = IMAGE) -> TensorRT:
    place = guard.door.parent
    settings = {"MILLWRIGHT_MODEL_IMAGES": f"trtllm={version}@{image}"}
    return TensorRT(BackendContext("home", place, place, settings, None, guard.door))  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def backend(guard: GuardOfModels) -> AsyncIterator[TensorRT]:
    made = backend_of(guard)
    yield made
    await made.close()


def served(guard: GuardOfModels, **said: object) -> Served:
    """A model whose engine is as ``said``."""
    model, folder = safetensors_model(guard.door.parent / "models", **({"version": "1.2.1"} | said))  # type: ignore[arg-type]
    return Served(model, folder, on_device())


def planned(backend: TensorRT, one: Served) -> Plan:
    return backend.plan(one.manifest, one.folder, one.profile, HARDWARE, None)


async def until(backend: TensorRT, running: Running, sign: Sign) -> Readiness:
    seen = await backend.ready(running)

    async def look() -> bool:
        nonlocal seen
        seen = await backend.ready(running)
        return seen.sign is sign

    await wait_for_async(look, 60, what=f"the engine is {sign.value}")
    return seen


@asynccontextmanager
async def loaded(backend: TensorRT, one: Served) -> AsyncIterator[Running]:
    running = await backend.start(planned(backend, one), 1)
    seen = await until(backend, running, Sign.READY)
    yield replace(running, url=seen.url)


async def test_while_it_loads_it_is_refused_and_its_log_is_the_sign_that_it_gets_on(
    guard: GuardOfModels, backend: TensorRT
) -> None:
    running = await backend.start(planned(backend, served(guard, load_seconds=2)), 1)
    seen: set[str] = set()

    async def ready() -> bool:
        found = await backend.ready(running)
        seen.add(found.progress)
        return found.sign is Sign.READY

    await wait_for_async(ready, 60)
    assert sum("Loading weights" in progress for progress in seen) >= 2


async def test_one_that_hangs_makes_no_progress(guard: GuardOfModels, backend: TensorRT) -> None:
    running = await backend.start(planned(backend, served(guard, hang=True)), 1)

    async def last() -> bool:
        return "10/10" in (await backend.ready(running)).progress

    await wait_for_async(last, 30)
    before = await backend.ready(running)
    assert await backend.ready(running) == before


async def test_one_that_says_503_for_ever_makes_no_progress(guard: GuardOfModels, backend: TensorRT) -> None:
    one = served(guard)
    async with loaded(backend, one) as running:
        say(one.folder, version="1.2.1", health=503)
        seen = await backend.ready(running)
        assert (seen.sign, seen.progress) == (Sign.LOADING, "it answers 503 when asked how it is")
        assert await backend.ready(running) == seen


async def test_one_that_lives_on_without_its_executor_is_found_out_by_a_trial(
    guard: GuardOfModels, backend: TensorRT
) -> None:
    one = served(guard, health="lies", zombie=True)
    async with loaded(backend, one) as running, httpx.AsyncClient(timeout=30) as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 0}
        await client.post(f"{running.url}/v1/chat/completions", json=body)
        assert (await backend.ready(running)).sign is Sign.READY
        trial = Completion({EngineKind.TRTLLM: backend})
        assert await trial.completes(one, running) == "the executor has shut down"
        await trial.close()


async def test_a_stream_that_is_cut_has_no_end(guard: GuardOfModels, backend: TensorRT) -> None:
    one = served(guard, cut_after=1)
    async with loaded(backend, one) as running, httpx.AsyncClient(timeout=30) as client:
        body = {
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 16,
            "stream": True,
            "temperature": 0,
        }
        lines: list[str] = []

        async def read() -> None:
            async with client.stream("POST", f"{running.url}/v1/chat/completions", json=body) as answer:
                async for line in answer.aiter_lines():
                    lines.append(line)

        with pytest.raises(httpx.HTTPError):
            await read()
        assert lines
        assert "data: [DONE]" not in lines


async def test_its_figures_are_read_without_draining_anybodys(
    guard: GuardOfModels, backend: TensorRT
) -> None:
    one = served(guard)
    async with loaded(backend, one) as running, httpx.AsyncClient(timeout=30) as client:
        trial = Completion({EngineKind.TRTLLM: backend})
        assert await trial.completes(one, running) == ""
        await trial.close()
        found = await backend.stats(running)
        assert found.generated_tokens == 1
        assert found.cache_use == 0.25
        assert found.memory
        assert len((await client.get(f"{running.url}/metrics")).json()) == 1


@pytest.mark.parametrize(
    ("planned_as", "is_really", "said"),
    [("1.3.0rc7", "1.2.1", "Extra inputs are not permitted: kv_cache_config.max_gpu_total_bytes")],
)
async def test_a_file_that_its_version_does_not_read_is_told_in_its_words(
    guard: GuardOfModels, planned_as: str, is_really: str, said: str
) -> None:
    backend = backend_of(guard, planned_as)
    running = await backend.start(planned(backend, served(guard, version=is_really)), 1)
    seen = await until(backend, running, Sign.GONE)
    assert seen.exit_status == 1
    assert said in seen.reason
    await backend.close()


async def test_a_flag_that_it_does_not_know_is_told_in_its_words(
    guard: GuardOfModels, backend: TensorRT
) -> None:
    plan = planned(backend, served(guard))
    running = await backend.start(replace(plan, argv=(*plan.argv, "--served_model_name", "x")), 1)
    seen = await until(backend, running, Sign.GONE)
    assert "No such option: --served_model_name" in seen.reason


async def test_an_image_of_another_version_than_the_settings_say_is_not_served(guard: GuardOfModels) -> None:
    backend = backend_of(guard, "1.1.0")
    running = await backend.start(planned(backend, served(guard, version="1.2.1")), 1)

    with pytest.raises(EngineAbsent, match=r"is TensorRT-LLM 1\.2\.1, and the settings say 1\.1\.0"):
        await until(backend, running, Sign.READY)
    await backend.close()


async def test_an_image_that_is_not_here_is_told_with_how_to_get_it(guard: GuardOfModels) -> None:
    backend = backend_of(guard, image=f"sha256:{'2' * 64}")
    with pytest.raises(EngineAbsent, match="is not on this box") as absent:
        await backend.start(planned(backend, served(guard)), 1)
    assert "docker pull" in (absent.value.hint or "")
    await backend.close()


async def test_want_of_memory_is_told_as_such(guard: GuardOfModels, backend: TensorRT) -> None:
    async with loaded(backend, served(guard)) as running:
        guard.kill(running.name, signal.SIGKILL, out_of_memory=True)
        seen = await backend.ready(running)
        assert (seen.out_of_memory, seen.exit_status) == (True, 137)
        assert "the memory that it may have was not enough" in seen.reason


async def test_with_guard_away_what_runs_is_still_known_to_run(
    guard: GuardOfModels, backend: TensorRT
) -> None:
    async with loaded(backend, served(guard)) as running:
        guard.close_door()
        assert (await backend.ready(running)).sign is Sign.READY


async def test_without_anybody_who_makes_containers_it_says_so() -> None:
    settings = {"MILLWRIGHT_MODEL_IMAGES": f"trtllm=1.2.1@{IMAGE}"}
    backend = TensorRT(BackendContext("home", Path("/m"), Path("/w"), settings, None))  # type: ignore[arg-type]
    found = await backend.probe()
    assert (found.available, found.reason) == (
        False,
        "nobody makes containers on this box: guard does not run",
    )
    await backend.close()
