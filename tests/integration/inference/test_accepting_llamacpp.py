"""The tests before real llama.cpp: a model of noise keeps to a schema and to its context, because its engine does."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from appliance.inference.acceptance.domain import Result, Subject
from appliance.inference.acceptance.engine import ONE_EACH, Engine
from appliance.inference.acceptance.suite import run_suite
from appliance.inference.backends.contract import Sign
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.hardware.domain import Hardware, Processor
from tests.served_models import tiny_served
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
HARDWARE = Hardware(Processor("cpu", 2), 16 << 30, 12 << 30)


@pytest.mark.parametrize("vectors", [False, True], ids=["text", "vectors"])
async def test_real_llamacpp_is_measured(llamacpp: LlamaCpp, place: Path, vectors: bool) -> None:
    served = tiny_served(place / f"accepting-{vectors}", slots=1, vectors=vectors)
    profile = replace(served.profile, context=2048)
    plan = llamacpp.plan(served.manifest, served.folder, profile, HARDWARE, None)
    running = await llamacpp.start(plan, 71 + vectors)
    url = ""

    async def ready() -> bool:
        nonlocal url
        seen = await llamacpp.ready(running)
        url = seen.url
        return seen.sign is Sign.READY

    await wait_for_async(ready, 60)

    async def kept(results: Sequence[Result]) -> None:
        """Nobody looks."""

    async with httpx.AsyncClient(trust_env=False, limits=ONE_EACH) as client:
        engine = Engine(client, url, running.key, "tiny", llamacpp.dialect)
        found = await run_suite(Subject(engine, served.manifest, profile), kept)
    await llamacpp.stop(running, 1.0)
    assert [(one.name, one.detail) for one in found if not one.passed] == []
    assert len(found) == (1 if vectors else 4)
