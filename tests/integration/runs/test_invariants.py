"""What the reconciler looks at: each invariant by itself, and what was repaired is on record (P8)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg import AsyncConnection

from appliance.lib.identity import uuid7
from appliance.runs import reconciler
from appliance.runs.invariants import Repaired, delivery, invariants, overdue
from appliance.tasks.doors import look_at_all
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

    async def look() -> None:
        await sync_to_async(look_at_all)(engine.clock.now())

    before = await recorded(engine, reconciler._SPEAKS, "t/tick")
    (repair,) = await engine.reconciler.silent_triggers(look)
    (row,) = await engine.sql("SELECT next_due FROM tasks_tasktrigger")
    assert (repair.subject, row["next_due"] > engine.clock.now()) == ("t/tick", True)
    assert await recorded(engine, reconciler._SPEAKS, "t/tick") == before + 1
    assert await engine.reconciler.silent_triggers(look) == []


async def test_one_that_stays_silent_is_not_said_to_be_repaired(engine: Engine) -> None:
    await engine.load(TICK)
    await engine.sql("UPDATE tasks_tasktrigger SET next_due = NULL")

    async def look() -> None:
        """Nobody can."""

    assert await engine.reconciler.silent_triggers(look) == []


async def test_one_that_cannot_be_looked_at_keeps_no_other_from_being_repaired(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        SAYS = "this cannot be looked at"

        async def repair(self, connection: AsyncConnection[Any], now: datetime) -> Sequence[Repaired]:
            await connection.execute("SELECT no_such_column")
            return []

    run_id = await engine.begin(task("    - {id: a, type: set, value: 1}\n"))
    await engine.sql("UPDATE runs_run SET state = 'waiting', waiting_for = 'delivery' WHERE id = %s", run_id)
    monkeypatch.setattr(reconciler, "invariants", lambda: (Broken(), *invariants()))
    (repair,) = await engine.reconciler.check()
    assert (repair.invariant, repair.subject) == (delivery.SAYS, str(run_id))
    assert await engine.state(run_id) == "queued"
