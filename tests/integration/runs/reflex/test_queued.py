"""A run for the worker lane that nothing keeps from running goes into the group commit itself."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.runs.intake import Intake
from appliance.tasks.arming import load_table
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, letter
from tests.integration.runs.reflex.test_unflushed import disk, lose, reached
from tests.wait import wait_for_async

__all__ = ["disk"]

UNSAFE = """
- name: open
  priority: high
  timeout: 5m
  triggers:
    - {id: hot, mqtt: {topic: "in/{dev}", payload: json}}
  actions:
    - {id: say, type: mqtt, effect: unsafe, topic: "out/{{ dev }}", payload: {n: "{{ payload.n }}"}}
"""
ITS_OWN = ("id", "occurrence_id", "run_id", "created_at", "deadline", "due_at", "xact", "seq", "at")
"""Columns that differ between two runs of the same event."""


async def rows(engine: Engine, table: str) -> list[dict[str, Any]]:
    found = await engine.sql(f"SELECT * FROM {table} ORDER BY 1")
    return [{name: value for name, value in row.items() if name not in ITS_OWN} for row in found]


async def test_it_is_queued_as_without_a_reflex_lane(engine: Engine, reactor: MakeReactor) -> None:
    tables = ("runs_run", "tasks_occurrence", "tasks_tasktrigger")
    event = {"n": 7, "text": "é° \x00"}
    await engine.load(UNSAFE)
    plain = Intake(engine.pool, engine.clock, lambda run_ids: None)
    plain.table = await sync_to_async(load_table)()
    await plain.deliver([letter("in/a", event)])
    expected = {table: await rows(engine, table) for table in tables}
    for table in ("runs_run", "tasks_occurrence"):
        await engine.sql(f"DELETE FROM {table} RETURNING 1")
    await engine.sql("UPDATE tasks_tasktrigger SET fired = 0 RETURNING 1")
    here = await reactor()
    await here.deliver(letter("in/a", event))
    found = {table: await rows(engine, table) for table in tables}
    for table in tables:
        for row in (*expected[table], *found[table]):
            row.pop("last_fired_at", None)
            row.pop("version_id", None) if table == "tasks_occurrence" else None
            row.get("event", row.get("inputs", {})).pop("event", None)
    assert found == expected
    (again,) = await engine.sql("SELECT id, created_at, deadline FROM runs_run")
    assert (again["deadline"] - again["created_at"]).total_seconds() == 300
    assert here.hinted == [again["id"]]
    assert (await engine.perform(again["id"]))["state"] == "succeeded"


async def test_its_journal_tells_that_it_fired_and_waits(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(UNSAFE)
    await here.deliver(letter("in/a", {"n": 7}))
    run = await here.only_run()
    told = await engine.sql(
        "SELECT type, data FROM events_event WHERE data ->> 'run_id' = %s ORDER BY xact, seq", str(run["id"])
    )
    assert [row["type"] for row in told] == ["occurrence.recorded", "run.changed"]
    assert told[1]["data"]["state"] == "queued"


async def test_a_worker_hears_of_it_before_the_disk_has_it_and_it_is_written_again_if_lost(
    engine: Engine, reactor: MakeReactor, disk: asyncio.Event
) -> None:
    here = await reactor(UNSAFE, acts_after_disk=False)
    since = await reached(engine)
    disk.clear()
    event = letter("in/a", {"n": 7})
    await here.deliver(event)
    run = await here.only_run()
    assert (here.hinted, event.acked) == ([run["id"]], False)
    await lose(engine, since)
    disk.set()
    await wait_for_async(lambda: event.acked, 5, "it is on the disk after all")
    again = await here.only_run()
    assert (again["id"], again["state"]) == (run["id"], "queued")


async def test_what_its_limit_or_overlap_looks_at_goes_the_other_way(
    engine: Engine, reactor: MakeReactor
) -> None:
    governed = UNSAFE.replace("name: open", "name: once").replace("timeout: 5m", "overlap: skip")
    here = await reactor(UNSAFE + governed)
    await here.deliver(letter("in/a", {"n": 1}), letter("in/a", {"n": 2}))
    states = await engine.sql(
        "SELECT t.name, o.state, count(*) FROM tasks_occurrence o JOIN tasks_task t ON t.id = o.task_id "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert [tuple(row.values()) for row in states] == [
        ("once", "fired", 1),
        ("once", "skipped", 1),
        ("open", "fired", 2),
    ]
    assert len(here.hinted) == 3


async def test_it_is_brought_to_the_disk_at_once(
    engine: Engine, reactor: MakeReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its step may be one that must not be done twice: the broker shall not have to send the message again."""
    monkeypatch.setattr("appliance.runs.reflex.unflushed.GATHER", 3600)
    here = await reactor(UNSAFE, acts_after_disk=False)
    event = letter("in/a", {"n": 7})
    await here.deliver(event)
    await wait_for_async(lambda: event.acked, 10, "the disk has it")
