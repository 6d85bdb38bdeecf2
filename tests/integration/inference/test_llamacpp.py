"""llama.cpp as a confined process: it loads, answers, counts, dies in words, and leaves nothing behind."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from appliance.inference.backends.contract import Plan, Readiness, Running, Sign
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.backends.llamacpp.planning import ENGINE
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelRefused
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.ports import Served
from tests.served_models import tiny_served
from tests.spawner import RunningSpawner, processes_with
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
HARDWARE = Hardware(Processor("cpu", 2), 16 << 30, 12 << 30)


@pytest.fixture(scope="module")
def served(place: Path) -> Served:
    return tiny_served(place / "models")


def planned(llamacpp: LlamaCpp, served: Served) -> Plan:
    return llamacpp.plan(served.manifest, served.folder, served.profile, HARDWARE, None)


def engines_of(spawner: RunningSpawner) -> list[int]:
    return processes_with(str(ENGINE), below=spawner.process.pid)


@asynccontextmanager
async def loaded(llamacpp: LlamaCpp, served: Served) -> AsyncIterator[Running]:
    running = await llamacpp.start(planned(llamacpp, served), 1)
    try:
        seen = await until(llamacpp, running, Sign.READY)
        yield replace(running, url=seen.url)
    finally:
        await llamacpp.stop(running, 5.0)


async def completion(llamacpp: LlamaCpp, served: Served, running: Running) -> str:
    """What the keeper's trial makes of it."""
    trial = Completion({EngineKind.LLAMACPP: llamacpp})
    said = await trial.completes(served, running)
    await trial.close()
    return said


async def until(llamacpp: LlamaCpp, running: Running, sign: Sign) -> Readiness:
    seen = await llamacpp.ready(running)

    async def look() -> bool:
        nonlocal seen
        seen = await llamacpp.ready(running)
        if seen.sign is Sign.GONE and sign is not Sign.GONE:
            raise AssertionError(f"the engine has gone: {seen.reason}")
        return seen.sign is sign

    await wait_for_async(look, 30, what=f"the engine is {sign.value}")
    return seen


async def test_it_answers_counts_and_leaves_nothing_behind(
    llamacpp: LlamaCpp, served: Served, spawner: RunningSpawner
) -> None:
    async with loaded(llamacpp, served) as running:
        assert await completion(llamacpp, served, running) == ""
        stats = await llamacpp.stats(running)
        assert stats.generated_tokens
        assert stats.running == 0
        assert engines_of(spawner)
    await wait_for_async(lambda: not engines_of(spawner))


async def test_without_its_key_nobody_is_answered(llamacpp: LlamaCpp, served: Served) -> None:
    async with loaded(llamacpp, served) as running, httpx.AsyncClient() as client:
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        answer = await client.post(f"{running.url}/v1/chat/completions", json=body)
        assert answer.status_code == 401
        assert "API Key" in await completion(llamacpp, served, replace(running, key="x"))


async def test_death_by_a_signal_is_told_with_its_number(
    llamacpp: LlamaCpp, served: Served, spawner: RunningSpawner
) -> None:
    async with loaded(llamacpp, served) as running:
        for pid in engines_of(spawner):
            os.kill(pid, signal.SIGSEGV)
        seen = await until(llamacpp, running, Sign.GONE)
        assert seen.exit_status == -signal.SIGSEGV
        assert f"signal {signal.SIGSEGV.value}" in seen.reason


async def test_a_file_that_is_no_model_is_told_in_the_engines_words(llamacpp: LlamaCpp, place: Path) -> None:
    broken = tiny_served(place / "broken")
    (broken.folder / broken.manifest.main).write_bytes(b"GGUF" + b"\0" * 5000)
    running = await llamacpp.start(planned(llamacpp, broken), 2)
    seen = await until(llamacpp, running, Sign.GONE)
    assert seen.exit_status != 0
    assert "the model was not loaded" in seen.reason
    assert "gguf" in seen.reason.lower()
    await llamacpp.stop(running, 1.0)


async def test_nothing_outside_its_model_can_be_read(llamacpp: LlamaCpp, served: Served, place: Path) -> None:
    other = tiny_served(place / "elsewhere", "other")
    plan = planned(llamacpp, served)
    config = plan.files["engine.json"].replace(str(served.folder), str(other.folder))
    running = await llamacpp.start(replace(plan, files={"engine.json": config}), 3)
    seen = await until(llamacpp, running, Sign.GONE)
    assert seen.exit_status != 0
    await llamacpp.stop(running, 1.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"context": 4096}, "2048 tokens"),
        ({"options": {"thread": 1}}, "no option `thread`"),
        ({"options": {"threads": 0}}, "from 1 to 256"),
        ({"options": {"threads": True}}, "whole number"),
    ],
)
async def test_what_it_cannot_do_is_said_before_it_starts(
    llamacpp: LlamaCpp, served: Served, change: dict[str, object], said: str
) -> None:
    profile = replace(served.profile, **change)  # type: ignore[arg-type]
    with pytest.raises(ModelRefused, match=said):
        llamacpp.plan(served.manifest, served.folder, profile, HARDWARE, None)
