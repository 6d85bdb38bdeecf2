"""The end of a worker at the places around turns and calls: what is on record is not done again, the rest goes on."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg import OperationalError

from appliance.accounts.principal import BOX
from appliance.runs import services
from appliance.runs.ledger import Ledger
from appliance.runs.shards.keeper import ShardKeeper
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn
from tests.wait import wait_for_async

SAY = ("mqtt", {"topic": "lamp", "payload": "red"})
OPEN = ("shell", {"command": "/usr/bin/open-valve 7"})
PLACES = (
    "worker.before_intent",
    "worker.after_intent",
    "worker.after_effect",
    "worker.after_result",
    "worker.before_release",
)


class Death(OperationalError):
    """After it nothing is written: the worker leaves the run as it is, under its lease."""


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The place at which the worker dies, and at which time that it comes there; once."""
    plan: dict[str, int] = {}

    def reach(place: str) -> None:
        if place in plan:
            plan[place] -= 1
            if not plan[place]:
                del plan[place]
                raise Death(place)

    for module in ("performer", "settling", "ledger"):
        monkeypatch.setattr(f"appliance.runs.{module}.reach", reach)
    return plan


async def split_only(agent: Agent, run_id: Any) -> None:
    """The run waits for its agent, which nobody has taken up."""
    worker = agent.worker()
    worker._ledger.on_queued = lambda run_ids: None
    await agent.perform(run_id, worker)
    assert await agent.state(run_id) == "waiting:shards"


async def through(agent: Agent, run_id: Any) -> dict[str, Any]:
    """Workers come and die until nothing is left to do."""
    for _ in range(12):
        ids = [run_id, *(row["id"] for row in await agent.shards())]
        for one in ids:
            row = await agent.run(one)
            if row["state"] == "queued":
                worker = agent.worker()
                worker.attend(one)
                await wait_for_async(lambda w=worker: w.active == 0, 15)  # type: ignore[misc]
            if (await agent.run(one))["state"] == "running":
                await agent.recover(one)
        await ShardKeeper(agent.pool).look()
        if (await agent.run(run_id))["finished_at"] is not None:
            break
    return await agent.run(run_id)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("time", [1, 2])
async def test_a_crash_repeats_no_effect_and_loses_no_turn(
    agent: Agent, deaths: dict[str, int], place: str, time: int
) -> None:
    await agent.policy()
    script = agent.says(*[turn(OPEN), turn(SAY), end(changed=True)])
    script.lines += [end(changed=True)] * 2
    run_id = await agent.ask(tools="[shell, mqtt]", mode="act", trust="[shell, mqtt]")
    await split_only(agent, run_id)
    deaths[place] = time
    row = await through(agent, run_id)
    inside = await agent.inside()
    shard = await agent.run(inside)
    assert not deaths, f"nobody died at {place}"
    assert len(agent.world.jobs) <= 1, "an unsafe effect happened twice"
    if shard["waiting_for"] == "ambiguous":
        # A result that is kept back for the next transaction is lost with its worker, and the person is asked.
        assert place in ("worker.after_intent", "worker.after_effect", "worker.after_result")
        await sync_to_async(services.settle)(inside, True, BOX)
        row = await through(agent, run_id)
    assert row["state"] == "succeeded"
    steps = [step for step, _, state in await agent.steps(inside) if state == "succeeded"]
    assert steps[:2] == ["turn-1", "call-1-1"]
    assert steps[-1] == "answer"


async def test_a_cancelled_agent_stops_in_the_middle_of_its_turn(agent: Agent) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    agent.says(turn(("readings.last", {"topic": "a"})), lambda question: hangs())
    run_id = await agent.ask()
    await split_only(agent, run_id)
    worker = agent.worker()
    inside = await agent.inside()
    worker.attend(inside)
    await asyncio.wait_for(begun.wait(), 10)
    await sync_to_async(services.cancel)(run_id, BOX)
    for _ in range(2):
        await ShardKeeper(agent.pool).look()
    worker.look_at([inside])
    await asyncio.wait_for(stopped.wait(), 5)
    await wait_for_async(lambda: worker.active == 0, 5)
    assert await agent.state(run_id) == "cancelled"
    assert await agent.state(inside) == "cancelled"


async def test_what_an_agent_calls_is_on_the_disk_before_it_is_done(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut takes back what did not wait for the disk, and a model that is asked again calls something else."""
    relaxed: dict[str, bool] = {}
    write = Ledger.write

    async def watched(
        self: Ledger, lease: Any, action: Any, look: Any, writes: Any, *rest: Any, **how: Any
    ) -> Any:
        relaxed.update({one.step: how["relaxed"] for one in writes if one.state == "intent"})
        return await write(self, lease, action, look, writes, *rest, **how)

    monkeypatch.setattr(Ledger, "write", watched)
    await agent.policy()
    agent.says(turn(SAY), end(changed=True))
    worker = agent.worker()
    worker._ledger.acts_after_disk = False
    await agent.go_on(await agent.ask(tools="[mqtt]", mode="act"), worker)
    assert agent.world.published
    assert relaxed == {"call-1-1": False}
