"""What the reconciler looks at: each invariant by itself, and what was repaired is on record (P8)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from appliance.lib.identity import uuid7
from appliance.runs import reconciler
from appliance.runs.invariants import Repaired, Watch, delivery, invariants, leases, overdue, steps, triggers
from tests.integration.runs.conftest import Engine, task

TICK = """
- name: t
  triggers: [{id: tick, cron: "0 0 * * *"}]
  actions: [{type: set, value: 1}]
"""


async def recorded(engine: Engine, invariant: str, subject: str) -> int:
    return await engine.count(
        f"audit_record WHERE kind = 'reconciler.repaired' AND subject = '{subject}' "
        f"AND body::jsonb -> 'detail' ->> 'invariant' = '{invariant}'"
    )


async def test_a_box_as_it_should_be_needs_no_repair(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: a, type: set, value: 1}\n"))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.reconciler.check() == []


async def test_a_message_that_no_sender_looks_after_is_overdue_and_the_sender_is_told(engine: Engine) -> None:
    item, old = uuid7(), engine.clock.now() - timedelta(minutes=2)
    await engine.sql(
        "INSERT INTO outbox_item (id, key, platform, message, expires_at) VALUES (%s, 'k', 'loopback', '{}', %s)",
        item,
        old,
    )
    async with engine.pool.connection() as sender:
        await sender.execute("LISTEN millwright_outbox")
        (repair,) = await engine.reconciler.check()
        told = [notice async for notice in sender.notifies(timeout=5, stop_after=1)]
        await sender.execute("UNLISTEN *")
    assert (repair.subject, len(told)) == (str(item), 1)
    assert await recorded(engine, overdue.SAYS, str(item)) == 1


async def test_a_time_trigger_without_a_next_due_time_speaks_again(engine: Engine) -> None:
    await engine.load(TICK)
    await engine.sql("UPDATE tasks_tasktrigger SET next_due = NULL")
    before = await recorded(engine, triggers.SAYS, "t/tick")
    (repair,) = await engine.reconciler.check()
    (row,) = await engine.sql("SELECT next_due FROM tasks_tasktrigger")
    assert (repair.subject, row["next_due"] > engine.clock.now()) == ("t/tick", True)
    assert await recorded(engine, triggers.SAYS, "t/tick") == before + 1
    assert await engine.reconciler.check() == []


async def test_one_that_stays_silent_is_not_said_to_be_repaired(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.load(TICK)
    await engine.sql("UPDATE tasks_tasktrigger SET next_due = NULL")
    monkeypatch.setattr(triggers, "look_at_all", lambda now: 0)
    assert await engine.reconciler.repair(triggers) == []


async def test_one_that_cannot_be_looked_at_keeps_no_other_from_being_repaired(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        SAYS = "this cannot be looked at"
        FINDS = "SELECT no_such_column"

        async def repair(self, connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
            await connection.execute(self.FINDS)
            return []

    run_id = await engine.begin(task("    - {id: a, type: set, value: 1}\n"))
    await engine.sql("UPDATE runs_run SET state = 'waiting', waiting_for = 'delivery' WHERE id = %s", run_id)
    monkeypatch.setattr(reconciler, "invariants", lambda: (Broken(), *invariants()))
    (repair,) = await engine.reconciler.check()
    assert (repair.invariant, repair.subject) == (delivery.SAYS, str(run_id))
    assert await engine.state(run_id) == "queued"


def test_each_invariant_is_a_module_of_one_shape_with_a_sentence_of_its_own() -> None:
    found = invariants()
    assert len({one.SAYS for one in found}) == len(found) == 11
    assert all(one.FINDS.strip() for one in found)


async def test_every_query_of_an_invariant_is_one_that_the_database_takes(engine: Engine) -> None:
    """Each is looked at on a box with nothing in it: what fails is in the log, and would be nobody's repair."""
    for one in invariants():
        assert await engine.reconciler.repair(one) == []


async def test_a_lease_that_is_out_is_taken_in_the_same_round(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: a, type: set, value: 1}\n"))
    assert await engine.ledger().claim(run_id)
    await engine.expire(run_id)
    (repair,) = await engine.reconciler.check()
    assert (repair.invariant, repair.subject, repair.done) == (leases.SAYS, str(run_id), "queued")
    assert await recorded(engine, leases.SAYS, str(run_id)) == 1


# --- steps without a run


async def test_steps_of_a_run_that_is_not_there_are_removed_and_what_they_said_is_on_record(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Piece by piece, over the days: the next look goes on where the last one stopped."""
    monkeypatch.setattr(steps, "PIECE", 2)
    text = task("    - {id: a, type: set, value: 1}\n    - {id: b, type: mqtt, topic: x}\n")
    ids = [await engine.begin(text) for _ in range(3)]
    for run_id in ids:
        await engine.perform(run_id)
    await engine.sql("DELETE FROM runs_run WHERE id = %s", ids[2])
    engine.clock.advance(timedelta(minutes=2))
    reconciler = engine.reconciler
    looks = [await reconciler.repair(steps) for _ in range(4)]
    (repair,) = [one for look in looks for one in look]
    assert repair.subject == str(ids[2])
    assert repair.done == "removed: a #1 succeeded (pure), b #1 succeeded (idempotent)"
    assert await recorded(engine, steps.SAYS, str(ids[2])) == 1
    assert await engine.count("runs_step") == 4


async def test_steps_outside_of_all_days_and_those_of_this_minute_are_left_alone(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: a, type: set, value: 1}\n"))
    await engine.perform(run_id)
    await engine.sql("DELETE FROM runs_run")
    assert await engine.reconciler.repair(steps) == []
    old = uuid7(engine.clock.now() - timedelta(days=400))
    await engine.sql("UPDATE runs_step SET run_id = %s", old)
    engine.clock.advance(timedelta(minutes=2))
    assert await engine.reconciler.repair(steps) == []
