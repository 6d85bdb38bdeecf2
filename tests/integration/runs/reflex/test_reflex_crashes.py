"""What a reactor leaves in the air is brought to its end by others, and nothing is written twice."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection, DataError, OperationalError

from appliance.runs.reflex.committer import Arrival
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
                flight.writes[0] = type(flight.writes[0])(
                    **{
                        name: getattr(flight.writes[0], name)
                        for name in flight.writes[0].__dataclass_fields__
                    }
                    | {"attempt": 99999}
                )

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


async def test_what_came_with_a_message_that_cannot_be_written_acts_when_it_comes_again_and_once(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)

    async def fails(connection: AsyncConnection[Any]) -> list[UUID]:
        await connection.execute("SELECT 1 / 0")
        return []

    good = letter("in/good", {"value": 80, "n": 1})
    async with engine.pool.connection() as other, other.transaction():
        # A commit is under way while the two come: the next one carries both.
        await other.execute("SELECT 1 FROM runs_reflex FOR UPDATE")
        first = asyncio.create_task(here.deliver(letter("in/first", {"value": 0})))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the first commit waits")
        both = [
            asyncio.create_task(here.deliver(good)),
            asyncio.create_task(here.lane._committer.arrive(Arrival((), [], fails, []))),
        ]
        await wait_for_async(lambda: len(here.lane._committer._arrivals) == 2, 5, "both wait")
    await first
    for one in both:
        with pytest.raises(DataError):
            await one
    await here.settle()
    assert (good.acked, engine.world.published) == (False, [])
    assert await engine.count("tasks_occurrence") == await engine.count("runs_step") == 0
    await here.deliver(good)
    await here.settle()
    assert (good.acked, len(engine.world.published)) == (True, 1)
    assert (await here.only_run())["state"] == "succeeded"
