"""A worker that had no room for all takes the rest from the queue as soon as it has, not at its next look."""

from appliance.processes.parts import DefinitionCache
from appliance.runs.executor import Executor
from appliance.runs.performer import Performer
from tests.integration.runs.conftest import Engine, task
from tests.wait import wait_for_async


async def test_more_than_there_is_room_for_is_done_without_another_look(engine: Engine) -> None:
    ledger = engine.ledger()
    performer = Performer(ledger, engine.gate(), engine.world, engine.clock, DefinitionCache().get)
    worker = Executor(ledger, performer, engine.clock, concurrency=2)
    await engine.load(task("    - {type: set, value: 1}\n"))
    for _ in range(9):
        await engine.start("t")
    await worker._taking.look()
    assert worker.active == 2
    ended = "runs_run WHERE state = 'succeeded'"

    async def all_ended() -> bool:
        return await engine.count(ended) == 9

    await wait_for_async(all_ended, 10, "all runs have ended")
    await worker.drain(1)
