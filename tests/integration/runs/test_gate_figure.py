"""The figure of the gate in the worker lane: it measures a gate that lets pass, and says when it cannot."""

import pytest

from appliance.bus.ports import Message
from appliance.bus.services import TopicValue, remember
from appliance.processes.bench.gate import through_the_gate
from appliance.processes.bench.policy import MODE
from tests.integration.runs.conftest import Engine


async def know(engine: Engine, value: bytes) -> None:
    message = Message(MODE, value, 1, False, False, 1, engine.clock.now())
    async with engine.pool.connection() as connection:
        await remember(connection, [TopicValue.from_message(message)])


async def test_each_decision_reads_the_plant_and_pays(engine: Engine) -> None:
    await know(engine, b'"auto"')
    before = await engine.count("safety_spending")
    taken = await through_the_gate(engine.pool, engine.home, 5)
    assert len(taken) == 5
    assert min(taken) > 0
    assert await engine.count("safety_spending") == before, "what is measured is not spent"


async def test_a_gate_that_does_not_let_pass_is_no_figure(engine: Engine) -> None:
    await know(engine, b'"manual"')
    with pytest.raises(RuntimeError, match="the gate said"):
        await through_the_gate(engine.pool, engine.home, 1)


async def test_an_unknown_plant_is_no_figure(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match="does not know"):
        await through_the_gate(engine.pool, engine.home, 1, patience=0)
