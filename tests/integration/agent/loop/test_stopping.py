"""An agent is stopped in the middle of a turn and of a call: nobody waits for its model, and nothing more is done."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.runs import services
from appliance.runs.executor import Executor
from appliance.runs.shards.keeper import ShardKeeper
from appliance.safety import allstop
from appliance.safety.stop import Level, StopFile
from appliance.sandbox.ports import Job, Outcome
from tests.integration.agent.loop.conftest import Agent
from tests.integration.agent.loop.test_crashes import split_only
from tests.integration.runs.conftest import outcome
from tests.scripted_model import end, turn
from tests.wait import wait_for_async

OPEN = ("shell", {"command": "/usr/bin/open-valve 7"})
SAY = ("mqtt", {"topic": "lamp", "payload": "red"})


class Hanging:
    """Something that goes on until it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.stopped = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


async def under_way(agent: Agent, hanging: Hanging, **keys: str) -> tuple[UUID, Executor]:
    """An agent in the middle of what hangs."""
    await agent.policy()
    run_id = await agent.ask(tools="[shell, mqtt]", mode="act", trust="[shell, mqtt]", **keys)
    await split_only(agent, run_id)
    worker = agent.worker()
    worker._stop_file = StopFile(agent.home)
    await worker.start()
    worker.attend(await agent.inside())
    await asyncio.wait_for(hanging.begun.wait(), 15)
    return run_id, worker


async def stop_all(agent: Agent, run_id: UUID, worker: Executor) -> None:
    await sync_to_async(allstop.engage)(Level.KILL, "smoke", BOX, agent.clock.now(), agent.home)


async def cancel(agent: Agent, run_id: UUID, worker: Executor) -> None:
    await sync_to_async(services.cancel)(run_id, BOX)
    await ShardKeeper(agent.pool).look()
    worker.look_at([await agent.inside()])


STOPS = pytest.mark.parametrize("stop", [stop_all, cancel])
Stop = Callable[[Agent, UUID, Executor], Awaitable[None]]


async def after(agent: Agent, run_id: UUID, stop: Stop) -> dict[str, object]:
    """The stop is over: what becomes of the run."""
    if stop is stop_all:
        assert await agent.state(await agent.inside()) == "waiting:all_stop"
        by = Principal("user:ana", Role.ADMIN)
        await sync_to_async(allstop.release)("over", by, agent.clock.now(), agent.home)
        await agent.pass_time(await agent.inside(), timedelta(minutes=1))
        await agent.reconciler.wake_due()
    return await agent.go_on(run_id)


@STOPS
async def test_in_the_middle_of_a_turn_the_model_is_not_waited_for(agent: Agent, stop: Stop) -> None:
    hanging = Hanging()
    script = agent.says(turn(SAY), lambda question: hanging(), end(changed=True))
    run_id, worker = await under_way(agent, hanging)
    before = len(agent.world.published)
    await stop(agent, run_id, worker)
    await asyncio.wait_for(hanging.stopped.wait(), 10)
    await wait_for_async(lambda: worker.active == 0, 10)
    assert len(agent.world.published) == before
    row = await after(agent, run_id, stop)
    assert row["state"] == ("succeeded" if stop is stop_all else "cancelled")
    assert len(script.asked) == (3 if stop is stop_all else 2)
    assert len(agent.world.published) == before, "the call on record was not made again"
    await worker.drain(0)


@STOPS
async def test_in_the_middle_of_an_unsafe_call_nobody_knows_and_a_person_is_asked(
    agent: Agent, stop: Stop
) -> None:
    hanging = Hanging()

    async def work(job: Job) -> Outcome:
        await hanging()
        return outcome()

    agent.world.working = work
    agent.says(turn(OPEN, SAY), end(changed=True))
    run_id, worker = await under_way(agent, hanging)
    await stop(agent, run_id, worker)
    await asyncio.wait_for(hanging.stopped.wait(), 10)
    await wait_for_async(lambda: worker.active == 0, 10)
    row = await after(agent, run_id, stop)
    assert (len(agent.world.jobs), agent.world.published) == (1, [])
    if stop is stop_all:
        assert await agent.state(await agent.inside()) == "waiting:ambiguous"
    else:
        assert row["state"] == "cancelled"
        assert (await agent.row("call-1-1"))["state"] == "ambiguous"
    await worker.drain(0)


async def test_a_freeze_lets_the_answer_come_and_nothing_follow_from_it(agent: Agent) -> None:
    answered = asyncio.Event()

    async def thinks() -> object:
        hanging.begun.set()
        await answered.wait()
        return turn(SAY)

    hanging = Hanging()
    agent.says(lambda question: thinks(), end(changed=True))
    run_id, worker = await under_way(agent, hanging)
    await sync_to_async(allstop.engage)(Level.FREEZE, "smoke", BOX, agent.clock.now(), agent.home)
    answered.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert agent.world.published == []
    assert await agent.state(await agent.inside()) == "waiting:all_stop"
    assert (await after(agent, run_id, stop_all))["state"] == "succeeded"
    assert len(agent.world.published) == 1
    await worker.drain(0)
