"""Twenty agents on one worker: while one's model thinks, the others' are asked."""

import asyncio

from appliance.inference.asking import Question, Reply
from appliance.inference.leases import Wish
from appliance.runs.shards.keeper import ShardKeeper
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import Script, end, turn
from tests.wait import wait_for_async

MANY = 20


async def test_twenty_models_think_at_once_and_all_their_agents_come_to_an_end(agent: Agent) -> None:
    """Each turn is answered only when all twenty are being asked: one less at once, and none ever is."""
    all_asked = asyncio.Barrier(MANY)

    async def answering(question: Question, wish: Wish) -> Reply:
        told = "\n".join(text for _, text in question.messages)
        await all_asked.wait()
        said = sum(role == "assistant" for role, _ in question.messages)
        line = turn(("readings.last", {"topic": f"plant/{said}"})) if said < 2 else end(told[-10:])
        return await Script([line])(question, wish)

    agent.world.answering = answering
    first = await agent.ask()
    runs = [first, *[await agent.start("t") for _ in range(MANY - 1)]]
    worker = agent.worker()
    await worker.start()
    keeper = ShardKeeper(agent.pool)

    async def ended() -> bool:
        await keeper.look()
        rows = await agent.sql("SELECT state FROM runs_run WHERE id = ANY(%s)", runs)
        return all(row["state"] == "succeeded" for row in rows)

    await wait_for_async(ended, 60, "all twenty have ended")
    await worker.drain(0)
    assert all_asked.n_waiting == 0
