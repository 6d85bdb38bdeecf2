"""The crash-safe mode: a last value comes one commit after its event, and its event is acknowledged after both."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from psycopg import OperationalError

from appliance.runs.reflex import committer
from appliance.runs.reflex.group import Group
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, Reactor, letter
from tests.integration.runs.reflex.test_queued import UNSAFE
from tests.integration.runs.reflex.test_reflex_lane import ECHO
from tests.wait import wait_for_async

GATED = """
- name: gated
  triggers: [{id: g, mqtt: {topic: "in/{dev}", payload: json}}]
  gate: {plant_state: "{{ state('guard') == 'shut' }}"}
  actions: [{id: say, type: mqtt, topic: "gated/{{ dev }}", payload: 1}]
"""


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that waits for company is committed by itself."""
    monkeypatch.setattr(committer, "COMPANY", 3600)


@pytest.fixture
async def here(reactor: MakeReactor) -> Reactor:
    return await reactor(ECHO, acts_after_disk=False)


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written stands for any row that the database refuses."""
    whole = Group.parameters

    def bad(self: Group, now: object) -> dict[str, object]:
        made = whole(self, now)  # type: ignore[arg-type]
        if any(value.topic == "in/bad" for value in self.values):
            made["values"] = '[{"topic": null, "count": 1}]'
        return made

    monkeypatch.setattr(Group, "parameters", bad)


async def topics(engine: Engine) -> dict[str, object]:
    return {row["topic"]: row["value"] for row in await engine.sql("SELECT topic, value FROM bus_topicvalue")}


async def test_no_effect_waits_for_it_and_no_receipt_comes_before_it(
    here: Reactor, engine: Engine, never: None
) -> None:
    first, second = letter("in/a", {"value": 80, "n": 1}), letter("in/b", {"value": 10, "n": 2})
    await here.deliver(first)
    await wait_for_async(lambda: len(engine.world.published) == 1, 5, "it acts")
    unflushed = here.lane._unflushed
    assert unflushed is not None
    await wait_for_async(lambda: unflushed._durable == unflushed._latest, 5, "the disk has what is committed")
    assert await topics(engine) == {}
    assert not first.acked
    await here.deliver(second)
    assert await topics(engine) == {"in/a": {"value": 80, "n": 1}, "in/b": {"value": 10, "n": 2}}
    await wait_for_async(lambda: first.acked and second.acked, 5, "the disk has both")


async def test_it_comes_by_itself_and_a_reactor_that_stops_leaves_none(here: Reactor, engine: Engine) -> None:
    event = letter("in/a", {"value": 80, "n": 1})
    await here.deliver(event)
    await wait_for_async(lambda: event.acked, 5, "the disk has it")
    await here.deliver(letter("in/b", {"value": 80, "n": 2}))
    await here.lane.stop(5)
    assert set(await topics(engine)) == {"in/a", "in/b"}


async def test_a_reactor_that_is_killed_between_leaves_the_event_to_the_broker(
    here: Reactor, engine: Engine, reactor: MakeReactor, never: None
) -> None:
    event = letter("in/a", {"value": 80, "n": 1})
    await here.deliver(event)
    await here.crash()
    assert not event.acked
    assert await topics(engine) == {}
    life = await reactor(acts_after_disk=False)
    await life.deliver(event, letter("in/b", {"value": 10, "n": 2}))
    await life.deliver(letter("in/b", {"value": 10, "n": 3}))
    assert set(await topics(engine)) == {"in/a", "in/b"}


async def test_who_acts_on_other_rows_finds_the_value_there(
    engine: Engine, reactor: MakeReactor, never: None
) -> None:
    """A worker that is given a run by the same event reads its value in the database."""
    life = await reactor(ECHO + UNSAFE, acts_after_disk=False)
    await life.deliver(letter("in/a", {"value": 80, "n": 1}))
    assert "in/a" in await topics(engine)


async def test_a_worker_that_a_run_is_handed_to_finds_the_value_there(
    engine: Engine, reactor: MakeReactor, never: None
) -> None:
    """The very commit that carries another run's intent queues this one: its gate asks for what the event says."""
    life = await reactor(ECHO + GATED, acts_after_disk=False)
    await life.deliver(letter("in/a", {"value": 80, "n": 1}))
    assert await engine.count("runs_run WHERE state = 'queued'") == 1
    assert "in/a" in await topics(engine)


async def test_where_a_commit_waits_for_the_disk_it_has_the_value(
    engine: Engine, reactor: MakeReactor, never: None
) -> None:
    life = await reactor(ECHO)
    event = letter("in/a", {"value": 80, "n": 1})
    await life.deliver(event)
    assert event.acked
    assert "in/a" in await topics(engine)


async def test_one_that_cannot_be_written_takes_nobody_with_it(
    here: Reactor, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    events = [letter(f"in/{name}", {"value": 80, "n": n}) for n, name in enumerate(("bad", "good"))]
    await here.deliver(*events)
    await wait_for_async(lambda: all(event.acked for event in events), 5, "the disk has what can be had")
    await here.settle()
    assert set(await topics(engine)) == {"in/good"}
    assert len(engine.world.published) == 2
    assert await engine.count("runs_run WHERE state = 'succeeded'") == 2


async def test_each_receipt_waits_for_the_commit_that_has_its_value(
    here: Reactor, engine: Engine, never: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside one that cannot be written each value has a commit of its own: the last comes later than the first."""
    spoil(monkeypatch)
    events = [letter(f"in/{name}", {"value": 80, "n": n}) for n, name in enumerate(("first", "last", "bad"))]
    await here.deliver(*events)
    writer, unflushed, go_on = here.lane._committer._writer, here.lane._unflushed, asyncio.Event()
    assert unflushed is not None
    write, owed_from = writer.write, writer.number

    async def slowly(*given: Any, **more: Any) -> Any:
        if writer.number == owed_from + 1:
            await go_on.wait()
        return await write(*given, **more)

    monkeypatch.setattr(writer, "write", slowly)
    delivering = asyncio.create_task(here.deliver(letter("in/next", {"value": 10, "n": 9})))
    await wait_for_async(lambda: unflushed._durable > owed_from, 5, "the disk has the first value")
    assert set(await topics(engine)) == {"in/first"}
    assert not any(event.acked for event in events)
    go_on.set()
    await delivering
    await wait_for_async(lambda: all(event.acked for event in events), 5, "the disk has what can be had")
    assert set(await topics(engine)) == {"in/first", "in/last", "in/next"}


async def test_a_database_that_is_away_for_a_moment_costs_no_value(
    here: Reactor, engine: Engine, never: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong then is not the value: it is not dropped, and its event not acknowledged before it is there."""
    first, second = letter("in/a", {"value": 80, "n": 1}), letter("in/b", {"value": 10, "n": 2})
    await here.deliver(first)
    await wait_for_async(lambda: len(engine.world.published) == 1, 5, "it acts")
    writer, away = here.lane._committer._writer, [OperationalError("gone") for _ in range(3)]
    write = writer.write

    async def gone(*given: Any, **more: Any) -> Any:
        if away:
            raise away.pop()
        return await write(*given, **more)

    monkeypatch.setattr(writer, "write", gone)
    with suppress(OperationalError):
        await here.deliver(second)
    assert not away, "it was away while something was owed"
    await here.deliver(letter("in/c", {"value": 10, "n": 3}))
    assert {"in/a", "in/c"} <= set(await topics(engine))
    await wait_for_async(lambda: first.acked, 5, "the disk has both")
