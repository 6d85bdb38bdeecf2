"""Steps that are split: each item is done once, whatever stops, and the join says what its author meant."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.runs import services
from appliance.runs.executor import Executor
from appliance.runs.shards.keeper import ShardKeeper
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome
from tests.wait import wait_for_async

EACH = """
- name: t
  trigger: manual
  vars: {items: [a, b, c, d, e]}
  actions:
    - {id: before, type: set, value: seen}
    - id: each
      type: foreach
      items: "{{ vars.items }}"
      parallelism: 2
      %s
      actions:
        - id: say
          type: mqtt
          topic: "each/{{ index }}"
          payload: "{{ item }} {{ outputs.before }} {{ vars.items | length }}"
        - {id: give, type: set, value: "{{ item }}!"}
    - {id: after, type: set, value: "{{ outputs.each }}"}
"""


async def whole(engine: Engine, run_id: UUID, *workers: Executor) -> dict[str, Any]:
    """Let the workers and the keeper work until the run has ended; gives its row."""
    keeper = ShardKeeper(engine.pool)
    for worker in workers or (engine.worker(),):
        await worker.start()

    async def ended() -> bool:
        await keeper.look()
        await engine.reconciler.wake_due()
        return (await engine.run(run_id))["finished_at"] is not None

    async with asyncio.timeout(60):
        while not await ended():
            await asyncio.sleep(0.05)
    return await engine.run(run_id)


async def shards(engine: Engine) -> list[dict[str, Any]]:
    return await engine.sql("SELECT * FROM runs_run WHERE split_id IS NOT NULL ORDER BY split_id, shard")


async def split(engine: Engine) -> dict[str, Any]:
    (row,) = await engine.sql("SELECT * FROM runs_split")
    return row


async def output(engine: Engine, run_id: UUID, step: str) -> Any:
    (row,) = await engine.sql("SELECT output FROM runs_step WHERE run_id = %s AND step = %s", run_id, step)
    return row["output"]


async def test_every_item_is_done_once_and_the_outputs_come_in_order(engine: Engine) -> None:
    run_id = await engine.begin(EACH % "")
    row = await engine.perform(run_id)
    assert row["state"] == "succeeded"
    assert sorted(engine.world.published) == [
        (f"each/{n}", f"{letter} seen 5".encode()) for n, letter in enumerate("abcde")
    ]
    assert await output(engine, run_id, "after") == ["a!", "b!", "c!", "d!", "e!"]
    assert [one["state"] for one in await shards(engine)] == ["succeeded"] * 5


async def test_no_worker_is_held_and_no_more_than_so_many_are_under_way(engine: Engine) -> None:
    going, most = 0, 0

    async def count(topic: str, payload: bytes) -> None:
        nonlocal going, most
        going += 1
        most = max(most, going)
        await asyncio.sleep(0.02)
        going -= 1

    engine.world.publishing = count
    run_id = await engine.begin(EACH % "")
    await engine.perform(run_id)
    assert most == 2


async def test_two_workers_share_the_shards_and_none_is_done_twice(engine: Engine) -> None:
    run_id = await engine.begin(
        """
- name: t
  trigger: manual
  actions:
    - id: each
      type: foreach
      range: {from: 1, to: 60}
      parallelism: 16
      collect: counts
      actions: [{type: mqtt, topic: "n/{{ item }}"}]
    - {id: after, type: mqtt, topic: "after"}
"""
    )
    row = await whole(engine, run_id, engine.worker(), engine.worker())
    assert row["state"] == "succeeded"
    assert Counter(topic for topic, _ in engine.world.published) == {
        **{f"n/{n}": 1 for n in range(1, 61)},
        "after": 1,
    }
    assert await output(engine, run_id, "each") == {
        "total": 60,
        "succeeded": 60,
        "failed": 0,
        "cancelled": 0,
    }


async def test_two_that_end_in_the_same_moment_are_joined_once(engine: Engine) -> None:
    for attempt in range(5):
        together = asyncio.Barrier(2)

        async def meet(topic: str, payload: bytes, barrier: asyncio.Barrier = together) -> None:
            if topic != "after":
                await barrier.wait()

        engine.world.publishing = meet
        run_id = await engine.begin(
            """
- name: t
  trigger: manual
  actions:
    - {id: both, type: parallel, branches: {left: [{type: mqtt, topic: l}], right: [{type: mqtt, topic: r}]}}
    - {id: after, type: mqtt, topic: after}
"""
        )
        assert (await engine.perform(run_id))["state"] == "succeeded"
        assert [topic for topic, _ in engine.world.published].count("after") == attempt + 1


FAILING = """
- name: t
  trigger: manual
  actions:
    - id: each
      type: foreach
      range: {from: 0, to: 9}
      parallelism: 1
      join: %s
      actions: [{id: run, type: shell, args: [/bin/x, "{{ item }}"]}]
    - {id: after, type: mqtt, topic: after}
"""


async def failing_below(engine: Engine, number: int) -> None:
    async def work(job: Job) -> Outcome:
        return outcome(1 if int(job.argv[1]) < number else 0)

    engine.world.working = work


@pytest.mark.parametrize(
    ("join", "failures", "state", "done", "word"),
    [
        ("all", 0, "succeeded", 10, ""),
        ("all", 3, "failed", 10, "3 of 10 did not succeed; first shard 0: step run: exit status 1"),
        ("{tolerate: 3}", 3, "succeeded", 10, ""),
        ("{tolerate: 2}", 3, "failed", 3, "3 of 10 failed, at most 2 may"),
        ("any", 3, "succeeded", 4, ""),
        ("{at_least: 2}", 3, "succeeded", 5, ""),
        ("{at_least: 8}", 3, "failed", 3, "0 of 10 succeeded, at least 8 must"),
    ],
)
async def test_the_join_decides_as_soon_as_it_can_and_cancels_the_rest(
    engine: Engine, join: str, failures: int, state: str, done: int, word: str
) -> None:
    await failing_below(engine, failures)
    run_id = await engine.begin(FAILING % join)
    row = await whole(engine, run_id)
    assert (row["state"], len(engine.world.jobs)) == (state, done)
    assert word in row["reason"]
    counts = await split(engine)
    assert counts["succeeded"] + counts["failed"] + counts["cancelled"] == counts["total"] == 10
    states = Counter(one["state"] for one in await shards(engine))
    assert states["cancelled"] == 10 - done
    if state == "succeeded" and join == "{tolerate: 3}":
        assert "3 of 10 failed" in row["warning"]


@pytest.mark.parametrize(
    ("keys", "state", "word"),
    [
        ('items: "{{ [] }}"', "succeeded", ""),
        ('items: "{{ [] }}", join: any', "failed", "there are no items"),
        ("items: [1, 2], join: {at_least: 3}", "failed", "3 must succeed, and there are 2 items"),
        ('items: "{{ 7 }}"', "failed", "items: gave a number, not a list"),
        (
            "range: {from: 1, to: '{{ 2000000 }}'}",
            "failed",
            "2,000,000 items: a step can be split into at most 1,000,000",
        ),
        ("range: {from: 1, to: '{{ \"x\" }}'}", "failed", "range: to is text, not a whole number"),
        ("range: {from: 1, to: 3, step: '{{ 0 }}'}", "failed", "never gets to the end"),
        ("lines: relative", "failed", "needs an absolute path"),
    ],
)
async def test_what_cannot_be_split_has_a_clear_outcome(
    engine: Engine, keys: str, state: str, word: str
) -> None:
    run_id = await engine.begin(
        f"""
- name: t
  trigger: manual
  actions:
    - {{id: each, type: foreach, {keys}, actions: [{{type: mqtt, topic: x}}]}}
"""
    )
    row = await engine.perform(run_id)
    assert row["state"] == state
    assert word in row["reason"]
    assert engine.world.published == []
    assert await engine.count("runs_run") == 1
    if state == "succeeded":
        (step,) = await engine.sql("SELECT output, detail FROM runs_step WHERE run_id = %s", run_id)
        assert (step["output"], step["detail"]["note"]) == ([], "there was nothing to do: no items")


async def test_too_much_context_is_refused_before_a_row_is_written(engine: Engine) -> None:
    run_id = await engine.begin(
        """
- name: t
  trigger: manual
  actions:
    - {id: big, type: set, value: "{{ vars.big }}"}
    - {id: each, type: foreach, range: {from: 1, to: 1000000}, actions: [{type: set, value: "{{ outputs.big }}"}]}
  vars: {big: ""}
""",
        {"vars": {"big": "x" * 1000}},
    )
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "are more than 512 MiB" in row["reason"]
    assert await engine.count("runs_run") == 1


async def test_bodies_inside_bodies_see_what_is_around_them(engine: Engine) -> None:
    run_id = await engine.begin(
        """
- name: t
  trigger: manual
  actions:
    - {id: base, type: set, value: 100}
    - id: outer
      type: foreach
      items: [1, 2]
      actions:
        - {id: mine, type: set, value: "{{ item * 10 }}"}
        - id: inner
          type: foreach
          range: {from: 1, to: 2}
          actions: [{type: set, value: "{{ outputs.base + outputs.mine + item }}"}]
        - id: sides
          type: parallel
          branches:
            left: [{type: set, value: "{{ outputs.inner }}"}]
            right: [{type: set, value: "{{ item }}"}]
"""
    )
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await output(engine, run_id, "outer") == [
        {"left": [111, 112], "right": 1},
        {"left": [121, 122], "right": 2},
    ]


async def test_cancelling_the_run_cancels_its_shards_those_inside_included(engine: Engine) -> None:
    async def hang(job: Job) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("never")

    engine.world.working = hang
    run_id = await engine.begin(
        """
- name: t
  trigger: manual
  actions:
    - id: outer
      type: foreach
      range: {from: 1, to: 5}
      parallelism: 2
      actions:
        - {id: inner, type: foreach, items: [1, 2, 3], parallelism: 1, actions: [{type: shell, args: [/bin/x]}]}
"""
    )
    worker, keeper = engine.worker(), ShardKeeper(engine.pool)
    worker.attend(run_id)
    await wait_for_async(lambda: len(engine.world.jobs) == 2, 10, "two shards are under way")
    await sync_to_async(services.cancel)(run_id, BOX)

    async def over() -> bool:
        for one in await keeper.look():
            worker.look_at([one])
        states = Counter(one["state"] for one in await shards(engine))
        still_open = await engine.count("runs_split WHERE closed_at IS NULL")
        return states == {"cancelled": 5 + 2 * 3} and still_open == 0

    async with asyncio.timeout(20):
        while not await over():
            await asyncio.sleep(0.05)
    assert (await engine.state(run_id), len(engine.world.jobs)) == ("cancelled", 2)


async def test_a_shard_cancelled_before_its_turn_is_passed_over_and_counted(engine: Engine) -> None:
    gate = asyncio.Event()

    async def wait(topic: str, payload: bytes) -> None:
        await gate.wait()

    engine.world.publishing = wait
    run_id = await engine.begin(EACH % "join: {tolerate: 1}")
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: len(engine.world.published) == 2, 10)
    (held,) = [one["id"] for one in await shards(engine) if one["shard"] == 3]
    await sync_to_async(services.cancel)(held, BOX)
    gate.set()
    assert (await whole(engine, run_id, worker))["state"] == "succeeded"
    assert await output(engine, run_id, "after") == ["a!", "b!", "c!", None, "e!"]


async def test_an_ambiguous_shard_keeps_its_run_waiting_until_a_person_says(engine: Engine) -> None:
    async def unclear(job: Job) -> Outcome:
        return outcome(None, signal=9, cancelled=True) if job.argv[1] == "4" else outcome()

    engine.world.working = unclear
    run_id = await engine.begin(FAILING % "all")
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:shards"
    (asking,) = [one["id"] for one in await shards(engine) if one["waiting_for"] == "ambiguous"]
    assert len(engine.world.jobs) == 5
    await sync_to_async(services.settle)(asking, True, BOX)
    await engine.perform(asking)
    assert await engine.state(run_id) == "succeeded"
    assert len(engine.world.jobs) == 10


async def test_the_runs_own_time_limit_ends_its_shards(engine: Engine) -> None:
    run_id = await engine.begin(
        """
- name: t
  trigger: manual
  timeout: 1h
  actions:
    - {id: each, type: foreach, range: {from: 1, to: 50}, parallelism: 3, actions: [{type: wait, duration: 3h}]}
"""
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:shards"
    await engine.pass_time(run_id, timedelta(hours=1, seconds=1))
    assert run_id in await engine.reconciler.wake_due()
    row = await engine.perform(run_id)
    assert (row["state"], "time limit" in row["reason"]) == ("failed", True)
    keeper = ShardKeeper(engine.pool)
    await keeper.look()
    await keeper.look()
    assert Counter(one["state"] for one in await shards(engine)) == {"cancelled": 50}
    assert (await split(engine))["closed_at"] is not None


async def test_shards_tell_the_browsers_about_their_run_and_not_about_each(engine: Engine) -> None:
    run_id = await engine.begin(EACH % "")
    await engine.perform(run_id)
    found = await engine.sql("SELECT type, subject FROM events_event WHERE subject LIKE 'run/%%'")
    assert {row["subject"] for row in found} == {f"run/{run_id}"}
    assert 1 <= [row["type"] for row in found].count("shards.changed") <= 3
