"""What a reactor leaves in the air is brought to its end by others, and nothing is written twice."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection, DataError, OperationalError

from appliance.runs.reflex.arrival import Arrival
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.writer import GroupWriter
from tests.integration.runs.conftest import Engine
from tests.integration.runs.locks import waits_for_a_lock
from tests.integration.runs.reflex.conftest import MakeReactor, Reactor, letter
from tests.integration.runs.reflex.test_reflex_lane import ECHO, TELL
from tests.wait import wait_for_async


async def held_in_the_air(engine: Engine, here: Reactor) -> asyncio.Event:
    """A run whose effect is under way; it ends when the event is set."""
    held = asyncio.Event()

    async def hold(topic: str, payload: bytes) -> None:
        await held.wait()

    engine.world.publishing = hold
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await wait_for_async(lambda: len(engine.world.published) == 1, 5, "the run acts")
    return held


def spoil_rows(flight: Flight) -> None:
    """The database will refuse what this run has to write."""
    flight.writes[0] = replace(flight.writes[0], attempt=99999)


async def test_a_run_in_the_air_at_a_crash_is_queued_once_and_ends(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)
    await held_in_the_air(engine, here)
    assert await engine.count("runs_run") == 0
    await here.crash()
    engine.world.publishing = None
    following = await reactor()
    run = await following.only_run()
    assert (run["state"], run["recoveries"], following.hinted) == ("queued", 1, [run["id"]])
    assert "crash" in run["warning"]
    (occurrence,) = await engine.sql("SELECT id, run_id FROM tasks_occurrence")
    assert (run["id"], run["occurrence_id"]) == (occurrence["run_id"], occurrence["id"])
    assert (await engine.perform(run["id"]))["state"] == "succeeded"
    await following.crash()
    await reactor()
    assert await engine.count("runs_run") == 1


async def test_an_old_reactor_cannot_write_after_a_new_one_has_begun(
    engine: Engine, reactor: MakeReactor
) -> None:
    old = await reactor(ECHO)
    held = await held_in_the_air(engine, old)
    new = await reactor()
    held.set()
    await wait_for_async(lambda: old.fenced == [True], 5, "the old reactor is told")
    run = await new.only_run()
    assert (run["state"], run["lane"]) == ("queued", "worker")
    assert await engine.count("runs_step") == 0


async def test_an_old_reactor_acknowledges_nothing(engine: Engine, reactor: MakeReactor) -> None:
    old = await reactor(ECHO)
    await reactor()
    late = letter("in/a", {"value": 80, "n": 1})
    with pytest.raises(Exception, match="another reactor"):
        await old.deliver(late)
    assert not late.acked
    assert await engine.count("tasks_occurrence") == 0


async def test_a_commit_whose_answer_was_lost_is_not_written_twice(
    engine: Engine, reactor: MakeReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await reactor(TELL)
    whole, lost = GroupWriter._call, [True, True]

    async def loses(self: GroupWriter, connection: AsyncConnection[Any], parameters: dict[str, Any]) -> bool:
        answer = await whole(self, connection, parameters)
        if lost:
            lost.pop()
            raise OperationalError("the answer is lost")
        return answer

    monkeypatch.setattr(GroupWriter, "_call", loses)
    audited = await engine.count("audit_record")
    await here.deliver(letter("in/a", {"n": 1}))
    await here.settle()
    assert await engine.count("tasks_occurrence") == await engine.count("runs_run") == 1
    assert await engine.count("events_event WHERE type = 'run.changed'") == 1
    assert await engine.count("outbox_item") == 1
    assert await engine.count("audit_record") == audited + 2
    assert len(engine.world.published) == 1


async def test_the_lane_takes_the_locks_of_everybody_s_end_last(engine: Engine, reactor: MakeReactor) -> None:
    """A worker that holds a run's row and then writes the audit record must not meet it coming the other way."""
    here = await reactor(ECHO)
    (trigger,) = await engine.sql("SELECT task_id, trigger FROM tasks_tasktrigger")
    counters = {**trigger, "fired": 1, "refused": 0, "failed": 0, "at": engine.clock.now().isoformat()}

    async def runs_for_workers(connection: AsyncConnection[Any]) -> list[UUID]:
        await connection.execute("SELECT pg_advisory_xact_lock(4711)")
        return []

    async with engine.pool.connection() as worker, worker.transaction():
        await worker.execute("SELECT pg_advisory_xact_lock(4711)")
        arrival = Arrival((), [], runs_for_workers, [counters])
        arriving = asyncio.create_task(here.lane._committer.arrive(arrival))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the lane waits for the worker")
        await worker.execute("SELECT fired FROM tasks_tasktrigger FOR UPDATE NOWAIT")
        await worker.execute("SELECT seq FROM audit_head FOR UPDATE NOWAIT")
    assert await arriving == []


async def test_one_run_whose_rows_cannot_be_written_takes_nobody_with_it(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)

    async def spoil(topic: str, payload: bytes) -> None:
        for flight in here.lane._committer._aloft.values():
            if topic == "out/bad" and flight.base["dev"] == "bad":
                spoil_rows(flight)

    engine.world.publishing = spoil
    await here.deliver(*(letter(f"in/{dev}", {"value": 80, "n": 1}) for dev in ("good", "bad", "fine")))
    await here.settle()
    rows = await engine.sql("SELECT state, reason FROM runs_run ORDER BY state")
    assert [row["state"] for row in rows] == ["queued", "succeeded", "succeeded"]
    assert "could not be written" in rows[0]["reason"]


async def test_a_poisonous_batch_is_not_acknowledged_and_the_lane_goes_on(
    engine: Engine, reactor: MakeReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await reactor(ECHO)
    with monkeypatch.context() as patched:
        patched.setattr("appliance.runs.reflex.group._text", lambda rows: "no rows" if rows else None)
        bad = letter("in/a", {"value": 80, "n": 1})
        with pytest.raises(DataError, match="invalid input syntax for type json"):
            await here.deliver(bad)
    assert not bad.acked
    good = letter("in/a", {"value": 80, "n": 2})
    await here.deliver(good)
    await here.settle()
    assert good.acked
    assert engine.world.published == [("out/a", b'{"n":2,"who":"a!"}')]


async def test_a_message_that_cannot_be_written_has_nobody_refused_who_came_with_it(
    engine: Engine, reactor: MakeReactor
) -> None:
    """As with two brokers, each of which brings a batch of its own: the poison of one says nothing of the other's."""
    here = await reactor(ECHO)
    tries = 0

    async def fails(connection: AsyncConnection[Any]) -> list[UUID]:
        nonlocal tries
        tries += 1
        await connection.execute("SELECT 1 / 0")
        return []

    good = [letter("in/good", {"value": 80, "n": 1}), letter("in/fine", {"value": 80, "n": 2})]
    async with engine.pool.connection() as other, other.transaction():
        # A commit is under way while these come: the next one carries all of them.
        await other.execute("SELECT 1 FROM runs_reflex FOR UPDATE")
        first = asyncio.create_task(here.deliver(letter("in/first", {"value": 0})))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the first commit waits")
        before = asyncio.create_task(here.deliver(good[0]))
        bad = asyncio.create_task(here.lane._committer.arrive(Arrival((), [], fails, [])))
        after = asyncio.create_task(here.deliver(good[1]))
        await wait_for_async(lambda: len(here.lane._committer._arrivals) == 3, 5, "all wait")
    await asyncio.gather(first, before, after)
    with pytest.raises(DataError):
        await bad
    assert tries == 2
    await here.settle()
    assert [one.acked for one in good] == [True, True]
    # Each acts once, and only as committed.
    assert sorted(topic for topic, _ in engine.world.published) == ["out/fine", "out/good"]
    assert await engine.count("runs_run WHERE state = 'succeeded'") == 2
    assert await engine.count("tasks_occurrence") == 2


async def test_a_run_whose_rows_cannot_be_written_has_no_message_refused_that_came_meanwhile(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)
    held = await held_in_the_air(engine, here)
    (flight,) = here.lane._committer._aloft.values()
    good = letter("in/good", {"value": 80, "n": 1})
    async with engine.pool.connection() as other, other.transaction():
        await other.execute("SELECT 1 FROM runs_reflex FOR UPDATE")
        first = asyncio.create_task(here.deliver(letter("in/first", {"value": 0})))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the first commit waits")
        held.set()
        await wait_for_async(lambda: here.lane._committer._landed, 5, "the run has landed")
        spoil_rows(flight)
        arriving = asyncio.create_task(here.deliver(good))
        await wait_for_async(lambda: here.lane._committer._arrivals, 5, "the message waits too")
    await asyncio.gather(first, arriving)
    await here.settle()
    assert good.acked
    rows = await engine.sql("SELECT state FROM runs_run ORDER BY state")
    assert [row["state"] for row in rows] == ["queued", "succeeded"]
