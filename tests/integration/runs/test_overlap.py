"""Runs of one key never overlap where the task says so, whatever starts them and however many processes do."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.runs import services
from appliance.runs.invariants import turns
from appliance.runs.services import NotAdmitted
from appliance.runs.tally import Batch
from appliance.runs.turns import Turns
from tests.integration.runs.conftest import Engine
from tests.integration.runs.test_intake import Door, door, letter
from tests.wait import wait_for_async

ENDED = "UPDATE runs_run SET state = 'succeeded', finished_at = now() WHERE id = %s"


def pumps(policy: str, more: str = "") -> str:
    return f"""
- name: t
  triggers:
    - {{id: hot, mqtt: {{topic: "plant/{{pump}}/temp", payload: json}}}}
  overlap: {{key: "{{{{ pump }}}}", policy: {policy}{more}}}
  actions: [{{id: pause, type: wait, duration: 2h}}]
"""


async def arrive(opened: Door, *names: str) -> None:
    await opened.intake.deliver([letter(f"plant/{name}/temp", 1) for name in names])


async def became(engine: Engine) -> list[tuple[str, str, str]]:
    """Of each occurrence in order: the pump, what it is, and the state of its run."""
    rows = await engine.sql(
        "SELECT o.event -> 'captures' ->> 'pump' AS pump, o.state, "
        "coalesce(nullif(r.waiting_for, ''), r.state, '') AS run "
        "FROM tasks_occurrence o LEFT JOIN runs_run r ON r.id = o.run_id ORDER BY o.id"
    )
    return [(row["pump"], row["state"], row["run"]) for row in rows]


async def runs(engine: Engine) -> list[UUID]:
    return [row["id"] for row in await engine.sql("SELECT id FROM runs_run ORDER BY id")]


async def test_skip_leaves_an_occurrence_with_the_reason_and_never_a_run(engine: Engine) -> None:
    opened = await door(engine, pumps("skip"))
    await arrive(opened, "a", "b")
    await arrive(opened, "a")
    assert await became(engine) == [("a", "fired", "queued"), ("b", "fired", "queued"), ("a", "skipped", "")]
    first, _ = await runs(engine)
    (row,) = await engine.sql("SELECT reason FROM tasks_occurrence WHERE state = 'skipped'")
    assert row["reason"] == f"run {first} of the same key has not ended"


async def test_within_one_batch_the_second_is_skipped_too(engine: Engine) -> None:
    await arrive(await door(engine, pumps("skip")), "a", "a", "a")
    assert [state for _, state, _ in await became(engine)] == ["fired", "skipped", "skipped"]


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled", "poisoned"])
async def test_the_place_is_free_again_whatever_ended_the_run(engine: Engine, ending: str) -> None:
    opened = await door(engine, pumps("skip"))
    await arrive(opened, "a")
    await engine.sql("UPDATE runs_run SET state = %s", ending)
    await arrive(opened, "a")
    assert [state for _, state, _ in await became(engine)] == ["fired", "fired"]


async def test_a_run_that_waits_or_was_recovered_still_holds_its_place(engine: Engine) -> None:
    opened = await door(engine, pumps("skip"))
    await arrive(opened, "a")
    (run_id,) = await runs(engine)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:timer"
    await arrive(opened, "a")
    assert (await became(engine))[-1] == ("a", "skipped", "")


async def test_queue_keeps_the_order_of_arrival_and_starts_the_next_when_one_ends(engine: Engine) -> None:
    opened, turns = await door(engine, pumps("queue")), Turns(engine.pool)
    await arrive(opened, "a", "a")
    await arrive(opened, "b", "a")
    first, second, other, third = await runs(engine)
    assert [run for _, _, run in await became(engine)] == ["queued", "turn", "queued", "turn"]
    assert await turns.hand_on() == []
    await engine.sql(ENDED, first)
    assert await turns.hand_on() == [second]
    assert await turns.hand_on() == []
    await engine.sql(ENDED, second)
    assert await turns.hand_on() == [third]
    assert await engine.state(other) == "queued"


async def test_who_comes_while_the_turn_is_handed_on_stands_behind_who_waited(engine: Engine) -> None:
    opened, turns = await door(engine, pumps("queue")), Turns(engine.pool)
    await arrive(opened, "a", "a")
    first, second = await runs(engine)
    await engine.sql(ENDED, first)
    await arrive(opened, "a")
    assert await turns.hand_on() == [second]


async def test_the_queue_of_a_key_is_bounded_and_says_so(engine: Engine) -> None:
    opened = await door(engine, pumps("queue", ", most: 2"))
    await arrive(opened, *"aaaaa")
    assert [state for _, state, _ in await became(engine)] == ["fired"] * 3 + ["suppressed"] * 2
    (row,) = await engine.sql("SELECT DISTINCT reason FROM tasks_occurrence WHERE state = 'suppressed'")
    assert row["reason"] == "2 runs wait for this key already"


async def test_a_waiting_run_that_is_cancelled_leaves_the_line(engine: Engine) -> None:
    opened, turns = await door(engine, pumps("queue")), Turns(engine.pool)
    await arrive(opened, "a", "a", "a")
    first, second, third = await runs(engine)
    await sync_to_async(services.cancel)(second, BOX)
    await engine.sql(ENDED, first)
    assert await turns.hand_on() == [third]


async def test_cancel_previous_waits_until_the_old_one_has_really_ended(engine: Engine) -> None:
    opened, turns = await door(engine, pumps("cancel_previous")), Turns(engine.pool)
    await arrive(opened, "a")
    (old,) = await runs(engine)
    await engine.sql(
        "UPDATE runs_run SET state = 'running', epoch = 1, lease_owner = 'w', lease_until = now() + '1m'"
    )
    await arrive(opened, "a")
    _, new = await runs(engine)
    assert (await engine.run(old))["cancel_requested"]
    assert (await engine.state(old), await engine.state(new)) == ("running", "waiting:turn")
    assert await turns.hand_on() == []
    # Its worker dies before it obeyed: the cancellation is a row, and outlives it.
    await engine.recover(old)
    assert await turns.hand_on() == []
    row = await engine.perform(old)
    assert (row["state"], row["reason"]) == (
        "cancelled",
        f"cancelled: run {new} of the same key took its place",
    )
    assert await turns.hand_on() == [new]


async def test_cancel_previous_ends_at_once_what_nobody_works_on(engine: Engine) -> None:
    opened = await door(engine, pumps("cancel_previous"))
    await arrive(opened, "a")
    (old,) = await runs(engine)
    await engine.perform(old)
    await arrive(opened, "a")
    assert [run for _, _, run in await became(engine)] == ["cancelled", "queued"]
    assert await engine.steps(old) == [("pause", 1, "failed")]


async def test_whose_place_was_taken_is_on_record_once_the_next_time_the_turns_are_looked_at(
    engine: Engine,
) -> None:
    """Not in the transaction itself: more is locked after it, and the chain's head may only be locked last."""
    opened, turns = await door(engine, pumps("cancel_previous")), Turns(engine.pool)
    await arrive(opened, "a")
    await arrive(opened, "a")
    old, new = await runs(engine)
    for _ in range(2):
        await turns.hand_on()
    said = "SELECT kind, principal, body::jsonb -> 'detail' AS detail FROM audit_record WHERE subject = %s"
    (row,) = await engine.sql(said, str(old))
    assert (row["kind"], row["principal"]) == ("run.cancel", "trigger:t/hot")
    assert row["detail"] == {"task": "t", "superseded_by": str(new)}


async def test_of_many_that_supersede_each_other_the_last_one_runs(engine: Engine) -> None:
    opened, turns = await door(engine, pumps("cancel_previous")), Turns(engine.pool)
    await arrive(opened, "a")
    await engine.sql(
        "UPDATE runs_run SET state = 'running', epoch = 1, lease_owner = 'w', lease_until = now() + '1m'"
    )
    await arrive(opened, "a", "a")
    await arrive(opened, "a")
    assert await became(engine) == [
        ("a", "fired", "running"),
        ("a", "skipped", ""),
        ("a", "fired", "cancelled"),
        ("a", "fired", "turn"),
    ]
    first, *_, last = await runs(engine)
    await engine.sql(ENDED, first)
    assert await turns.hand_on() == [last]


async def test_a_person_who_starts_it_by_hand_obeys_too_and_is_told(engine: Engine) -> None:
    text = "- {name: t, trigger: manual, overlap: skip, actions: [{type: wait, duration: 1h}]}"
    first = await engine.begin(text)
    with pytest.raises(NotAdmitted, match=f"run {first} of the same key has not ended"):
        await engine.start("t")
    assert await engine.count("runs_run") == 1
    assert await engine.count("tasks_occurrence WHERE state = 'skipped' AND run_id IS NULL") == 1
    with pytest.raises(NotAdmitted):
        await sync_to_async(services.start_task)("t", BOX, engine.clock.now(), origin="chat", key="k")
    with pytest.raises(NotAdmitted):
        await sync_to_async(services.start_task)("t", BOX, engine.clock.now(), origin="chat", key="k")
    assert await engine.count("tasks_occurrence WHERE state = 'skipped'") == 2


async def test_a_called_task_obeys_and_its_caller_says_why_it_did_not_run(engine: Engine) -> None:
    await engine.load(
        """
- {name: callee, trigger: manual, overlap: skip, actions: [{type: wait, duration: 1h}]}
- {name: t, trigger: manual, actions: [{id: call, type: task, task: callee}]}
"""
    )
    await engine.start("callee")
    row = await engine.perform(await engine.start("t"))
    assert row["state"] == "failed"
    assert "task callee does not run now: run" in row["reason"]


async def test_a_key_that_cannot_be_computed_runs_nothing_and_says_so(engine: Engine) -> None:
    opened = await door(engine, pumps("skip").replace("{{ pump }}", "{{ payload.id }}"))
    await arrive(opened, "a")
    (row,) = await engine.sql("SELECT state, reason FROM tasks_occurrence")
    assert row["state"] == "suppressed"
    assert row["reason"].startswith("overlap.key: ")


async def test_who_decides_second_waits_for_the_commit_of_the_first(engine: Engine) -> None:
    """Two transactions that both look before either commits: the order of looking cannot matter."""
    opened = await door(engine, pumps("skip"))
    batch = Batch()
    assert opened.intake.table is not None
    batch.take(opened.intake.table.match_message("plant/a/temp", b"1", engine.clock.now()))
    async with engine.pool.connection() as first, first.transaction():
        (run_id,) = await opened.intake._write(first, batch, engine.clock.now())
        second = asyncio.create_task(opened.intake.commit(batch, engine.clock.now(), []))
        waiting = "pg_locks WHERE locktype = 'advisory' AND NOT granted"
        await wait_for_async(lambda: _done_or(second, engine, waiting), 10, "the second waits")
        assert not second.done()
    assert await second == []
    assert await runs(engine) == [run_id]


async def _done_or(task: "asyncio.Task[Any]", engine: Engine, table: str) -> bool:
    return task.done() or await engine.count(table) > 0


async def test_processes_that_race_for_one_key_start_one_run(engine: Engine) -> None:
    """Six doors, each with connections of its own, as six processes have."""
    doors = [await door(engine, pumps("skip")) for _ in range(6)]
    for _ in range(5):
        await asyncio.gather(*(arrive(opened, "a", "b") for opened in doors))
        unfinished = await engine.count("runs_run WHERE state = 'queued'")
        assert unfinished == 2
        await engine.sql("UPDATE runs_run SET state = 'succeeded'")
    assert await engine.count("tasks_occurrence WHERE state = 'skipped'") == 5 * (12 - 2)


async def test_two_that_hand_on_at_once_start_one_run(engine: Engine) -> None:
    opened = await door(engine, pumps("queue"))
    await arrive(opened, *"aaaaaa")
    for _ in range(5):
        await engine.sql("UPDATE runs_run SET state = 'succeeded' WHERE state = 'queued'")
        started: list[Any] = await asyncio.gather(*(Turns(engine.pool).hand_on() for _ in range(4)))
        assert sum(len(ids) for ids in started) == 1
        assert await engine.count("runs_run WHERE state = 'queued'") == 1


async def test_a_run_without_a_place_in_any_line_is_found_and_freed(engine: Engine) -> None:
    opened = await door(engine, pumps("queue"))
    await arrive(opened, "a", "a")
    _, second = await runs(engine)
    assert await engine.reconciler.repair(turns) == []
    await engine.sql("DELETE FROM runs_turn WHERE run_id = %s", second)
    assert [repair.subject for repair in await engine.reconciler.repair(turns)] == [str(second)]
    assert await engine.state(second) == "queued"
    assert (
        await engine.count(f"audit_record WHERE kind = 'reconciler.repaired' AND subject = '{second}'") == 1
    )


async def test_whoever_waits_for_a_turn_does_not_outlive_the_runs_time_limit(engine: Engine) -> None:
    opened, turns = await door(engine, pumps("queue") + "  timeout: 5m\n"), Turns(engine.pool)
    await arrive(opened, "a", "a")
    first, second = await runs(engine)
    await engine.sql(ENDED, first)
    await turns.hand_on()
    engine.clock.advance(timedelta(minutes=6))
    row = await engine.perform(second)
    assert (row["state"], "time limit" in row["reason"]) == ("failed", True)
