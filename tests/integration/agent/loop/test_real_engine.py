"""An agent with a real llama.cpp: what it says is noise under the schema of a turn, and the run ends in its budget."""

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from appliance.agent.loop.shape import shape
from appliance.agent.tools.registry import tools
from appliance.inference.asking import Asker
from appliance.inference.backends.contract import BackendContext
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.client import KeeperClient
from appliance.inference.domain import EngineKind
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.server import KeeperServer
from appliance.lib.clock import SystemClock
from appliance.safety.approvals.domain import Choice
from tests.engine_room import Records, Shelf
from tests.integration.agent.loop.conftest import Agent
from tests.served_models import tiny_served
from tests.spawner import start_spawner
from tests.wait import wait_for_async

pytest.importorskip(
    "xllamacpp", reason="llama.cpp is not installed: pip install -r requirements-llamacpp.txt"
)

CONTEXT = 16_384
"""Of a model to which each byte is a token: a turn's question has about 3,000 of them."""
TERSE = 0.6
FULL = pytest.mark.slow(sample=False)
SEEDS = (0, pytest.param(1, marks=FULL), pytest.param(2, marks=FULL))


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user can enter, as the sandbox's is."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-agent-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=SEEDS)
async def with_llamacpp(agent: Agent, place: Path, request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    """The agent's questions go to a real engine, by way of a real keeper."""
    folder = place / f"seed-{request.param}"
    spawner = start_spawner(place)
    backend = LlamaCpp(BackendContext("home", folder / "models", folder / "work", {}, spawner.sandbox))
    backends: Any = {EngineKind.LLAMACPP: backend}
    trial = Completion(backends)
    served = tiny_served(folder / "models", slots=1, seed=request.param, context=CONTEXT, terse=TERSE)

    async def hardware() -> Hardware:
        return Hardware(Processor("cpu", 2), 16 << 30, 12 << 30)

    keeper = Keeper(Shelf([served]), Records(), backends, hardware, trial, SystemClock())
    socket = folder / "keeper.sock"
    running = [asyncio.create_task(keeper.run()), asyncio.create_task(KeeperServer(keeper, socket).serve())]
    await wait_for_async(socket.exists)
    asker = Asker(KeeperClient(socket))
    agent.world.answering = lambda question, wish: asker.ask(question, wish)
    agent.patience = 300.0
    yield agent
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await trial.close()
    await backend.close()
    spawner.stop()


async def turns(agent: Agent) -> list[dict[str, Any]]:
    return await agent.sql(
        "SELECT step, state, output, detail, error FROM runs_step WHERE run_id = %s AND step LIKE 'turn-%%'"
        " ORDER BY position, attempt",
        await agent.inside(),
    )


async def test_noise_under_a_schema_is_valid_turns_and_ends_in_its_budget(
    with_llamacpp: Agent, record_property: Any
) -> None:
    agent = with_llamacpp
    await agent.policy()
    run_id = await agent.ask(
        tools="[readings.last, runs.list, mqtt]",
        budget="{steps: 6, tokens: 200000, time: 4m}",
        max_tokens="1500",
        temperature="1.0",
    )
    row = await agent.go_on(run_id)
    for _ in range(12):
        inside = await agent.inside()
        match await agent.state(inside):
            case "waiting:approval":
                await agent.say(Choice.DENY, "noise")
            case "waiting:retry":
                await agent.pass_time(inside, timedelta(minutes=1))
                await agent.reconciler.wake_due()
            case _:
                break
        row = await agent.go_on(run_id)
    done = [
        turn for turn in await turns(agent) if turn["state"] == "succeeded" and "offered" in turn["detail"]
    ]
    offered = {name: tools()[name].schema({}) for name in ("readings.last", "runs.list", "mqtt")}
    counts: Counter[str] = Counter()
    for turn in done:
        last = not turn["detail"]["offered"]
        if turn["output"]["malformed"]:
            counts["malformed"] += 1
            continue
        jsonschema.validate(
            json.loads(turn["detail"]["came"]), shape({} if last else offered, last=last, more=False)
        )
        counts["repaired" if turn["detail"]["asked"] > 1 else "valid"] += 1
        for call in turn["output"]["calls"]:
            counts["calls"] += 1
            assert call["tool"] in offered
    record_property("turns", dict(counts))
    assert row["state"] in ("succeeded", "failed"), [
        (one["state"], one["error"]) for one in await turns(agent)
    ]
    assert row["state"] == "succeeded" or "no progress" in row["reason"] or "is used up" in row["reason"]
    assert counts["valid"] + counts["repaired"] >= 1
    assert len(done) <= 6
    assert agent.world.published == []
