"""The reflex lane gives the same rows, traces and promises as the worker lane."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.actions.contract import TargetAway
from appliance.runs.reflex import lane as lane_module
from appliance.safety import allstop
from appliance.safety.stop import Level
from tests.database import emptied
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, letter
from tests.wait import wait_for_async

ECHO = """
- name: echo
  vars: {limit: 50}
  triggers:
    - {id: hot, mqtt: {topic: "in/{dev}", payload: json}, when: "{{ payload.value > vars.limit }}"}
  actions:
    - {id: name, type: set, value: "{{ dev }}!"}
    - {id: never, type: set, condition: "{{ payload.value > 1000 }}", value: 1}
    - {id: say, type: mqtt, topic: "out/{{ dev }}", payload: {n: "{{ payload.n }}", who: "{{ outputs.name }}"}}
"""
TELL = """
- name: tell
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}]
  actions:
    - {id: say, type: mqtt, topic: "out", payload: "{{ payload.n }}"}
    - {id: tell, type: notification, platform: loopback, message: "n is {{ payload.n }}"}
"""


async def test_a_run_leaves_the_rows_that_a_worker_leaves(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(ECHO)
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await here.settle()
    fast = await rows_of(engine)
    assert engine.world.published == [("out/a", b'{"n":7,"who":"a!"}')]
    await engine.sql(emptied("runs_run", "runs_step", "tasks_occurrence", "events_event"))
    here.intake.reflex = None
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    (queued,) = await engine.sql("SELECT id FROM runs_run")
    await engine.perform(queued["id"])
    slow = await rows_of(engine)
    assert fast["run"].pop("lane") == "reflex"
    assert slow["run"].pop("lane") == "worker"
    assert fast["run"]["state"] == "succeeded"
    assert fast == slow


async def rows_of(engine: Engine) -> dict[str, Any]:
    """What a run left behind, without identifiers and times."""
    (run,) = await engine.sql(
        "SELECT r.lane, r.state, r.reason, r.warning, r.principal, r.origin, r.trigger, r.priority, r.inputs, "
        "o.state AS fired, o.reason AS why, o.event FROM runs_run r JOIN tasks_occurrence o "
        "ON o.id = r.occurrence_id AND o.run_id = r.id"
    )
    steps = await engine.sql(
        "SELECT step, attempt, position, phase, kind, effect, state, input, output, detail, error, "
        "finished_at IS NOT NULL AS ended FROM runs_step ORDER BY position"
    )
    for step in steps:
        step["input"], step["detail"] = step["input"] or None, step["detail"] or None
    events = await engine.sql(
        "SELECT type, data->>'state' AS state FROM events_event WHERE data->>'state' NOT IN ('intent', 'queued') "
        "ORDER BY type, seq"
    )
    return {"run": run, "steps": steps, "events": events}


async def test_nothing_acts_before_its_intent_is_on_record(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(ECHO)
    seen: list[tuple[int, int]] = []
    before = await engine.count("audit_record WHERE kind = 'steps.intent'")

    async def look(topic: str, payload: bytes) -> None:
        seen.append(
            (
                await engine.count("tasks_occurrence"),
                await engine.count("audit_record WHERE kind = 'steps.intent'") - before,
            )
        )

    engine.world.publishing = look
    one = letter("in/a", {"value": 80, "n": 7})
    await here.deliver(one)
    assert one.acked
    await here.settle()
    assert seen == [(1, 1)]


async def test_hundreds_of_runs_share_few_commits_and_audit_links(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)
    before = await engine.count("audit_record")
    await here.deliver(*(letter(f"in/{n}", {"value": 80, "n": n}) for n in range(300)))
    await here.settle()
    assert len(engine.world.published) == await engine.count("runs_run WHERE state = 'succeeded'") == 300
    assert await engine.count("audit_record") - before <= 5
    (trigger,) = await engine.sql("SELECT fired, refused FROM tasks_tasktrigger WHERE trigger = 'hot'")
    assert trigger["fired"] == 300


async def test_a_no_is_counted_and_its_last_ones_are_kept(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(ECHO)
    await here.deliver(*(letter("in/a", {"value": n}) for n in range(30)))
    await here.intake.tell_refused()
    (trigger,) = await engine.sql("SELECT fired, refused FROM tasks_tasktrigger WHERE trigger = 'hot'")
    assert (trigger["fired"], trigger["refused"]) == (0, 30)
    assert await engine.count("tasks_nottriggered") == 20
    assert await engine.count("tasks_occurrence") == 0


async def test_a_message_for_people_waits_for_its_receipt(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(TELL)
    await here.deliver(letter("in/a", {"n": 1}))
    await here.settle()
    run = await here.only_run()
    assert (run["state"], run["waiting_for"]) == ("waiting", "delivery")
    assert await engine.steps(run["id"]) == [("say", 1, "succeeded"), ("tell", 1, "handed_over")]
    (item,) = await engine.sql("SELECT key, message, about, expiry_given FROM outbox_item")
    assert item["key"] == f"{run['id']}/tell"
    assert item["message"] == {"text": "n is 1", "task": "tell"}
    assert (item["about"], item["expiry_given"]) == ("task/tell/tell", False)


async def test_both_lanes_in_one_batch_commit_together(engine: Engine, reactor: MakeReactor) -> None:
    slow = ECHO.replace("name: echo", "name: slow").replace(
        "type: mqtt, topic", "type: mqtt, effect: unsafe, topic"
    )
    here = await reactor(ECHO + slow)
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await here.settle()
    rows = await engine.sql("SELECT lane, state FROM runs_run ORDER BY lane")
    assert [(row["lane"], row["state"]) for row in rows] == [("reflex", "succeeded"), ("worker", "queued")]
    assert len(here.hinted) == 1


async def test_the_all_stop_hands_the_run_to_the_workers_which_wait(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)
    await sync_to_async(allstop.engage)(Level.FREEZE, "test", BOX, engine.clock.now(), engine.home)
    try:
        await here.deliver(letter("in/a", {"value": 80, "n": 7}))
        await here.settle()
        run = await here.only_run()
        assert (run["state"], engine.world.published) == ("queued", [])
        assert here.hinted == [run["id"]]
        assert (await engine.perform(run["id"]))["waiting_for"] == "all_stop"
    finally:
        await sync_to_async(allstop.release)(
            "over", Principal("user:ana", Role.ADMIN), engine.clock.now(), engine.home
        )


async def test_a_broker_that_is_away_leaves_the_step_to_a_worker(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO)

    async def away(topic: str, payload: bytes) -> None:
        raise TargetAway("no broker")

    engine.world.publishing = away
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await here.settle()
    run = await here.only_run()
    assert (run["state"], run["waiting_for"], run["finished_at"]) == ("waiting", "network", None)
    engine.world.publishing = None
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = ''")
    ended = await engine.perform(run["id"])
    assert ended["state"] == "succeeded"
    assert [step[0] for step in await engine.steps(run["id"])] == ["name", "never", "say"]


async def test_a_failed_step_with_tries_left_is_tried_again_by_a_worker(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(ECHO.replace("id: say,", "id: say, retry: {attempts: 2, delay: 2s},"))

    async def broken(topic: str, payload: bytes) -> None:
        raise ValueError("a fault of ours")

    engine.world.publishing = broken
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await here.settle()
    run = await here.only_run()
    assert run["state"] == "failed"
    assert "a fault of ours" in run["reason"]


async def test_beyond_the_most_in_the_air_runs_go_into_the_ledger(
    engine: Engine, reactor: MakeReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await reactor(ECHO)
    held = asyncio.Event()

    async def hold(topic: str, payload: bytes) -> None:
        await held.wait()

    engine.world.publishing = hold
    monkeypatch.setattr(lane_module, "MOST_ALOFT", 1)
    await here.deliver(letter("in/a", {"value": 80, "n": 1}))
    await wait_for_async(lambda: len(engine.world.published) == 1, 5, "the first run acts")
    await here.deliver(letter("in/a", {"value": 80, "n": 2}))
    assert await engine.count("runs_run WHERE lane = 'worker' AND state = 'queued'") == 1
    held.set()
    await here.settle()
    assert await engine.count("runs_run WHERE lane = 'reflex' AND state = 'succeeded'") == 1


async def test_a_wait_is_a_row_with_a_due_time_and_a_worker_goes_on(
    engine: Engine, reactor: MakeReactor
) -> None:
    here = await reactor(
        ECHO.replace("    - {id: say,", "    - {id: pause, type: wait, duration: 60s}\n    - {id: say,")
    )
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await here.settle()
    run = await here.only_run()
    assert (run["state"], run["waiting_for"]) == ("waiting", "timer")
    assert (run["wake_at"] - engine.clock.now()).total_seconds() == pytest.approx(60, abs=5)
    await engine.pass_time(run["id"], timedelta(seconds=61))
    await engine.reconciler.wake_due()
    assert (await engine.perform(run["id"]))["state"] == "succeeded"
    assert engine.world.published == [("out/a", b'{"n":7,"who":"a!"}')]
    assert (await engine.steps(run["id"]))[2] == ("pause", 1, "succeeded")
