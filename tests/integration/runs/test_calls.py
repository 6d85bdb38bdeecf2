"""A task that calls a task."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from psycopg.errors import LockNotAvailable

from appliance.accounts.principal import BOX
from appliance.actions.contract import StepContext, StepResult
from appliance.lib.jsontypes import JsonObject
from appliance.runs import services, sql
from appliance.runs.actions.task import TaskAction
from tests.integration.runs.conftest import Engine

PARENT = """
- name: child
  trigger: manual
  vars: {ok: true}
  actions:
    - {id: work, type: mqtt, topic: "child/{{ vars.ok }}"}
    - {id: pass, type: set, value: "{{ 1 // (1 if vars.ok else 0) }}"}
- name: t
  trigger: manual
  vars: {ok: true}
  actions:
    - {id: call, type: task, task: child, vars: {ok: "{{ vars.ok }}"}}
    - {id: after, type: mqtt, topic: parent}
"""


async def child_of(engine: Engine, run_id: UUID) -> UUID:
    (row,) = await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", run_id)
    found = row["id"]
    assert isinstance(found, UUID)
    return found


async def test_a_called_task_runs_once_and_its_caller_goes_on_as_soon_as_it_ended(engine: Engine) -> None:
    run_id = await engine.begin(PARENT)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:timer"
    child = await child_of(engine, run_id)
    assert (await engine.perform(child))["state"] == "succeeded"
    assert await engine.state(run_id) == "queued"
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert [topic for topic, _ in engine.world.published] == ["child/true", "parent"]


async def test_a_child_that_ends_just_before_its_caller_waits_is_not_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await engine.begin(PARENT)
    looked = TaskAction.perform

    async def looked_and_then_it_ended(
        self: TaskAction, arguments: JsonObject, context: StepContext
    ) -> StepResult:
        result = await looked(self, arguments, context)
        await sync_to_async(services.cancel)(await child_of(engine, run_id), BOX)
        return result

    monkeypatch.setattr(TaskAction, "perform", looked_and_then_it_ended)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "failed"


async def test_who_wakes_a_caller_holds_its_row_even_while_it_does_not_wait_yet(engine: Engine) -> None:
    run_id = await engine.begin(PARENT)
    async with engine.pool.connection() as ends, ends.transaction(force_rollback=True):
        await ends.execute(sql.WAKE_CALLER, {"id": run_id})
        async with engine.pool.connection() as waits, waits.transaction(force_rollback=True):
            with pytest.raises(LockNotAvailable):
                await waits.execute(f"{sql.LOCK_RUN} NOWAIT", {"id": run_id})


async def test_a_failed_called_task_fails_the_step_that_called_it(engine: Engine) -> None:
    run_id = await engine.begin(PARENT, {"vars": {"ok": False}})
    await engine.perform(run_id)
    assert (await engine.perform(await child_of(engine, run_id)))["state"] == "failed"
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "task child failed" in row["reason"]


async def test_a_crash_between_start_and_checkpoint_starts_no_second_child(engine: Engine) -> None:
    run_id = await engine.begin(PARENT)
    await engine.perform(run_id)
    await engine.sql("UPDATE runs_step SET state = 'intent', checkpoint = NULL")
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", run_id)
    await engine.perform(run_id)
    assert await engine.count("runs_run WHERE parent_run_id IS NOT NULL") == 1


async def test_a_cancelled_child_lets_its_caller_go_on(engine: Engine) -> None:
    run_id = await engine.begin(PARENT)
    await engine.perform(run_id)
    await sync_to_async(services.cancel)(await child_of(engine, run_id), BOX)
    assert await engine.state(run_id) == "queued"
    assert (await engine.perform(run_id))["state"] == "failed"


@pytest.mark.parametrize(
    ("query", "values"),
    [(sql.LOCK_CALLED, {"id": UUID(int=0)}), (sql.CALLED_BY_CANCELLED, {})],
    ids=["lock_called", "called_by_cancelled"],
)
async def test_who_was_called_is_found_by_the_index_that_holds_no_shards(
    engine: Engine, query: str, values: dict[str, Any]
) -> None:
    """Its condition must follow from the query's own, else a split of a million rows is read for each run's end."""
    (wanted,) = await engine.sql("SELECT pg_get_indexdef('runs_run_called'::regclass) AS made")
    async with engine.pool.connection() as connection, connection.transaction(force_rollback=True):
        # Alone on an empty table of the same name: the planner has no other index that it could like better.
        await connection.execute("CREATE TEMP TABLE runs_run (LIKE public.runs_run) ON COMMIT DROP")
        await connection.execute(
            re.sub(r" ON (ONLY )?(public\.)?runs_run ", " ON pg_temp.runs_run ", wanted["made"])
        )
        await connection.execute("SET LOCAL enable_seqscan = off")
        cursor = await connection.execute(f"EXPLAIN (FORMAT JSON) {query}", values)
        (plan,) = await cursor.fetchone() or (None,)
    assert "runs_run_called" in re.findall(r'"Index Name": "([^"]+)"', json.dumps(plan))
