"""A run whose row cannot be written is lost on record, and takes nobody with it."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from appliance.bus.errors import BusAway
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, letter
from tests.integration.runs.reflex.test_reflex_lane import ECHO
from tests.wait import wait_for_async

LONG = f"""
- name: {"t" * 100}
  triggers: [{{id: {"g" * 60}, mqtt: {{topic: "in/#", payload: json}}}}]
  actions: [{{id: say, type: mqtt, topic: "out", payload: 1}}]
"""


async def lost(engine: Engine, occurrence: UUID) -> dict[str, Any]:
    """What the audit record says, of this run alone and once."""
    (entry,) = await engine.sql(
        "SELECT subject, body::jsonb -> 'detail' AS detail FROM audit_record "
        "WHERE kind = 'run.lost' AND body::jsonb -> 'detail' ->> 'occurrence' = %s",
        str(occurrence),
    )
    return entry


@pytest.mark.parametrize("lane", ["reflex", "worker"])
async def test_the_longest_legal_names_fit(engine: Engine, reactor: MakeReactor, lane: str) -> None:
    here = await reactor(LONG)
    if lane == "worker":
        here.intake.reflex = None
    await here.deliver(letter("in/a", 1))
    await here.settle()
    run = await here.only_run()
    assert (run["lane"], len(run["principal"])) == (lane, 169)


async def test_a_run_whose_own_row_cannot_be_written_is_lost_once_and_on_record(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)

    async def spoil(topic: str, payload: bytes) -> None:
        for flight in here.lane._committer._aloft.values():
            if topic == "out/bad" and flight.base["dev"] == "bad":
                flight.run = replace(flight.run, origin="longer than its column")

    engine.world.publishing = spoil
    await here.deliver(*(letter(f"in/{dev}", {"value": 80, "n": 1}) for dev in ("good", "bad")))
    await here.settle()

    async def is_told() -> bool:
        return await engine.count("tasks_occurrence WHERE run_id IS NULL AND reason <> ''") == 1

    await wait_for_async(is_told, 10, "the loss is on record")
    (fine,) = await engine.sql("SELECT id, state FROM runs_run")
    (bad,) = await engine.sql("SELECT id, reason FROM tasks_occurrence WHERE run_id IS NULL")
    entry = await lost(engine, bad["id"])
    assert fine["state"] == "succeeded"
    assert (entry["detail"]["task"], entry["detail"]["trigger"]) == ("echo", "hot")
    assert "too long" in entry["detail"]["reason"]
    assert "too long" in bad["reason"]
    assert len(engine.world.published) == 2


async def test_one_that_is_lost_stands_in_nobodys_way(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(ECHO)

    async def spoil(topic: str, payload: bytes) -> None:
        for flight in here.lane._committer._aloft.values():
            flight.run = replace(flight.run, origin="longer than its column")
        raise BusAway("not connected")

    engine.world.publishing = spoil
    await here.deliver(letter("in/a", {"value": 80, "n": 1}))
    await here.settle()

    async def is_told() -> bool:
        return await engine.count("tasks_occurrence WHERE run_id IS NULL AND reason <> ''") == 1

    await wait_for_async(is_told, 10, "the loss is on record")
    assert not here.lane._line.anybody_lands
    engine.world.publishing = None
    await here.deliver(letter("in/a", {"value": 80, "n": 2}))
    await here.settle()
    assert (await here.only_run())["state"] == "succeeded"


@pytest.mark.parametrize(
    "spoiled",
    [
        "UPDATE tasks_taskversion SET definition = '{}' WHERE id < %s",
        "UPDATE tasks_occurrence SET version_id = 0 WHERE version_id < %s",
    ],
    ids=["unreadable", "gone"],
)
async def test_a_version_that_cannot_be_read_does_not_leave_the_next_reactor_deaf(
    engine: Engine, reactor: MakeReactor, spoiled: str
) -> None:
    here = await reactor(ECHO)
    held = asyncio.Event()

    async def hold(topic: str, payload: bytes) -> None:
        await held.wait()

    engine.world.publishing = hold
    await here.deliver(*(letter(f"in/{dev}", {"value": 80, "n": 1}) for dev in ("bad", "good")))
    await wait_for_async(lambda: len(engine.world.published) == 2, 5, "both runs act")
    await here.crash()
    engine.world.publishing = None
    (first, second) = await engine.sql("SELECT id, run_id FROM tasks_occurrence ORDER BY id")
    await engine.load(ECHO.replace("limit: 50", "limit: 60"))
    (fresh,) = await engine.sql("SELECT max(id) AS id FROM tasks_taskversion")
    await engine.sql("UPDATE tasks_occurrence SET version_id = %s WHERE id = %s", fresh["id"], second["id"])
    await engine.sql(spoiled, fresh["id"])
    following = await reactor()
    run = await following.only_run()
    assert (run["id"], run["state"], following.hinted) == (second["run_id"], "queued", [second["run_id"]])
    entry = await lost(engine, first["id"])
    assert (entry["subject"], entry["detail"]["task"]) == (str(first["run_id"]), "echo")
    await following.deliver(letter("in/next", {"value": 80, "n": 1}))
    await following.settle()
    assert await engine.count("runs_run") == 2
