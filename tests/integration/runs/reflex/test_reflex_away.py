"""Runs of the reflex lane stand in the same lines before a target that is away as those of the worker lane (P7)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from appliance.bus.errors import BusAway
from appliance.runs.away import Lines
from appliance.runs.reflex import committer
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, letter
from tests.wait import wait_for_async

VALVE = """
- name: valve
  triggers: [{id: m, mqtt: {topic: "in/{valve}", payload: json}}]
  actions: [{id: say, type: mqtt, topic: "plant/{{ valve }}", payload: "{{ payload }}"}]
"""


class Broker:
    """Publishes only where ``up`` says so; ``done`` is what got through."""

    def __init__(self, engine: Engine) -> None:
        self.up = False
        self.done: list[str] = []
        engine.world.publishing = self.publish

    async def publish(self, topic: str, payload: bytes) -> None:
        if not self.up:
            raise BusAway("not connected")
        self.done.append(payload.decode())


async def runs(engine: Engine) -> list[tuple[UUID, str]]:
    rows = await engine.sql("SELECT id, state, waiting_for FROM runs_run ORDER BY id")
    return [(row["id"], f"{row['state']}:{row['waiting_for']}") for row in rows]


async def test_a_reflex_does_not_overtake_one_that_waits(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    ((first, state),) = await runs(engine)
    assert state == "waiting:network"
    # It waits in line from the very commit in which it waits.
    assert await engine.sql("SELECT run_id, target, behind FROM runs_away") == [
        {"run_id": first, "target": "mqtt:plant/a", "behind": False}
    ]
    broker.up = True
    await here.deliver(letter("in/a", "close"))
    await here.settle()
    (_, (second, state)) = await runs(engine)
    assert (state, broker.done) == ("queued:", [])
    assert here.hinted == [second]
    # One more, and a worker that takes the last one up before the others.
    await here.deliver(letter("in/a", "open again"))
    await here.settle()
    third = (await runs(engine))[2][0]
    await engine.perform(third)
    await engine.perform(second)
    assert broker.done == []
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", first)
    await engine.perform(first)
    assert broker.done == ["open", "close", "open again"]
    assert await engine.count("runs_away") == 0


async def test_one_that_was_handed_over_is_not_overtaken_before_a_worker_has_it(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    broker.up = True
    await here.deliver(letter("in/a", "close"))
    await here.settle()
    (first, _), (second, _) = await runs(engine)
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", first)
    await engine.perform(first)
    await here.deliver(letter("in/a", "open again"))
    await here.settle()
    assert broker.done == ["open"]
    await engine.perform(second)
    await engine.perform((await runs(engine))[2][0])
    assert broker.done == ["open", "close", "open again"]


async def test_it_acts_at_once_on_what_nobody_waits_for(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    broker.up = True
    await here.deliver(letter("in/b", "close"))
    await here.settle()
    assert broker.done == ["close"]
    assert here.lane.performed == 2
    assert here.lane.handed_over == 0


async def test_nothing_more_is_asked_while_nobody_waits(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    broker.up = True
    here = await reactor(VALVE)
    await here.deliver(
        letter("in/a", "first")
    )  # the connection of the group commit is made with the first one
    await here.settle()
    before = engine.pool.get_stats().get("requests_num", 0)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    assert engine.pool.get_stats().get("requests_num", 0) == before
    assert broker.done == ["first", "open"]


async def test_the_line_is_free_again_when_the_first_has_ended(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    await engine.sql("UPDATE runs_run SET state = 'cancelled', waiting_for = ''")
    broker.up = True
    await here.deliver(letter("in/a", "close"))
    await here.settle()
    assert (broker.done, here.lane.handed_over) == (["close"], 0)
    await Lines(engine.pool).hand_on()
    assert await engine.count("runs_away") == 0


async def test_too_late_is_not_done_any_more(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE.replace("id: say,", "id: say, valid_for: 30s,"))
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    broker.up = True
    ((run_id, _),) = await runs(engine)
    engine.clock.advance(timedelta(seconds=31))
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = ''")
    row = await engine.perform(run_id)
    assert (row["state"], broker.done) == ("failed", [])
    assert "too late" in row["reason"]


async def test_an_intent_that_is_committed_too_late_is_not_acted_on(
    engine: Engine, reactor: MakeReactor
) -> None:
    """A commit can wait for a database that is away."""
    broker = Broker(engine)
    broker.up = True
    here = await reactor(VALVE.replace("id: say,", "id: say, valid_for: 30s,"))
    async with engine.pool.connection() as other, other.transaction():
        await other.execute("SELECT FROM runs_reflex FOR UPDATE")
        delivering = asyncio.create_task(here.deliver(letter("in/a", "open")))
        await wait_for_async(lambda: here.lane.aloft == 1, 5, "the run is in the air")
        engine.clock.advance(timedelta(seconds=31))
    await delivering
    await here.settle()
    assert broker.done == []
    assert "too late" in (await here.only_run())["reason"]


async def test_one_that_is_handed_over_for_a_late_intent_is_valid_from_when_it_was_to_act(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    broker.up = True
    text = VALVE.replace("id: say,", "id: say, valid_for: 30s,")
    here = await reactor(text + """  gate: {plant_state: "{{ state('guard') == 'shut' }}"}\n""")
    await here.deliver(letter("guard", "shut"))
    async with engine.pool.connection() as other, other.transaction():
        await other.execute("SELECT FROM runs_reflex FOR UPDATE")
        delivering = asyncio.create_task(here.deliver(letter("in/a", "open")))
        await wait_for_async(lambda: here.lane.aloft == 1, 5, "the run is in the air")
        engine.clock.advance(timedelta(seconds=31))
    await delivering
    await here.settle()
    row = await here.only_run()
    assert row["state"] == "queued"
    row = await engine.perform(row["id"])
    assert (row["state"], broker.done) == ("failed", [])
    assert "too late" in row["reason"]


@asynccontextmanager
async def no_connection_left(engine: Engine) -> AsyncIterator[None]:
    """Nobody gets a connection of the pool meanwhile; the group commit has its own."""
    async with AsyncExitStack() as held:
        for _ in range(engine.pool.max_size - 1):
            await held.enter_async_context(engine.pool.connection())
        yield


async def test_one_that_begins_when_the_connection_is_back_comes_after_those_that_waited(
    engine: Engine, reactor: MakeReactor
) -> None:
    """Each of them asks the database first, and so takes longer than one that has waited for nothing."""
    broker, back, asked = Broker(engine), asyncio.Event(), 0
    broker.up = True

    async def reaching(patience: float) -> bool:
        nonlocal asked
        asked += 1
        waited = not back.is_set()
        await back.wait()
        return waited

    engine.world.reaching = reaching
    here = await reactor(VALVE)
    for word in ("open", "close"):
        await here.deliver(letter("in/a", word))
    await wait_for_async(lambda: asked == 2, 5, "both wait for the connection")
    async with no_connection_left(engine):
        back.set()
        await here.deliver(letter("in/a", "open again"))
        await wait_for_async(lambda: asked == 3, 5, "one more begins")
        assert broker.done == []
    await here.settle()
    assert broker.done == ["open", "close", "open again"]


async def test_one_that_gives_up_stands_before_a_younger_one_that_asks_before_that_is_committed(
    engine: Engine, reactor: MakeReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, back = Broker(engine), asyncio.Event()
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    broker.up = True
    monkeypatch.setattr(committer, "COMPANY", 3600)
    turn = iter((False, True))

    async def reaching(patience: float) -> bool:
        waits = next(turn, False)
        if waits:
            await back.wait()
        return waits

    engine.world.reaching = reaching
    await here.deliver(letter("in/a", "close"), letter("in/a", "open again"))
    await wait_for_async(lambda: bool(here.lane._committer._landed), 5, "the second gives up")
    await engine.sql("UPDATE runs_run SET state = 'cancelled', waiting_for = ''")
    back.set()
    await wait_for_async(lambda: len(here.lane._committer._landed) == 2, 5, "the third has come as far")
    assert broker.done == []
    await here.deliver(letter("in/b", "other"))
    await wait_for_async(lambda: broker.done == ["other"], 5, "what has landed is committed")
    assert [state for _, state in await runs(engine)][1:3] == ["queued:", "queued:"]


async def test_it_is_valid_from_when_it_was_to_act_though_others_were_before_it(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE.replace("id: say,", "id: say, valid_for: 30s,"))
    for word in ("open", "close"):
        await here.deliver(letter("in/a", word))
        await here.settle()
        broker.up = True
    (first, _), (second, state) = await runs(engine)
    assert (state, await engine.steps(second)) == ("queued:", [("say", 1, "waiting")])
    await engine.sql("UPDATE runs_run SET state = 'cancelled', waiting_for = '' WHERE id = %s", first)
    engine.clock.advance(timedelta(seconds=31))
    row = await engine.perform(second)
    assert (row["state"], broker.done) == ("failed", [])
    assert "too late" in row["reason"]


async def test_neither_a_connection_nor_an_answer_is_waited_for_beyond_what_is_valid(
    engine: Engine, reactor: MakeReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    publish = engine.world.publish

    async def reaching(patience: float) -> bool:
        asked.append(patience)
        engine.clock.advance(timedelta(seconds=1))
        return False

    async def publishing(topic: str, payload: bytes, *, timeout: float, **more: Any) -> None:
        asked.append(timeout)
        await publish(topic, payload, timeout=timeout, **more)

    engine.world.reaching = reaching
    monkeypatch.setattr(engine.world, "publish", publishing)
    here = await reactor(VALVE.replace("id: say,", "id: say, valid_for: 3s,"))
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    assert asked == [3.0, 2.0]
    assert (await here.only_run())["state"] == "succeeded"


async def test_one_whose_look_at_the_line_took_long_asks_the_plant_again(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    gated = VALVE + """  gate: {plant_state: "{{ state('guard') == 'shut' }}"}\n"""
    here = await reactor(gated)
    await here.deliver(letter("guard", "shut"))
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    await engine.sql("UPDATE runs_run SET state = 'cancelled', waiting_for = ''")
    broker.up = True
    async with no_connection_left(engine):
        await here.deliver(letter("in/a", "close"))
        await wait_for_async(lambda: engine.pool.get_stats()["requests_waiting"] == 1, 5, "it looks")
        engine.clock.advance(timedelta(seconds=2))
        await here.deliver(letter("guard", "open"))
    await here.settle()
    assert broker.done == []
    assert [state for _, state in await runs(engine)] == ["cancelled:", "queued:"]
