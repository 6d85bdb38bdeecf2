"""What a run does on its way: waiting, retrying, remembering, calling, delivering, being stopped."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.bus.errors import BusAway, TopicRefused
from appliance.runs import services
from appliance.safety import allstop
from appliance.safety.stop import Level
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome
from tests.wait import wait_for_async


def task(actions: str, **keys: str) -> str:
    said = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    return f"- name: t\n  trigger: manual\n{said}  actions:\n{actions}"


def answering(*outcomes: Outcome) -> object:
    left = list(outcomes)

    async def work(job: Job) -> Outcome:
        return left.pop(0)

    return work


# --- waiting and retrying


async def test_a_wait_is_a_row_that_outlives_every_worker(engine: Engine) -> None:
    run_id = await engine.begin(
        task("    - {id: pause, type: wait, duration: 2h}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:timer"
    assert await engine.reconciler.wake_due() == []
    await engine.pass_time(run_id, timedelta(hours=2))
    assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id, engine.worker()))["state"] == "succeeded"
    assert len(engine.world.published) == 1


async def test_a_wait_that_is_woken_early_goes_on_waiting_for_its_first_due_time(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n"))
    first = (await engine.perform(run_id))["wake_at"]
    engine.clock.advance(timedelta(hours=1))
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL")
    assert (await engine.perform(run_id))["wake_at"] == first


async def test_a_condition_is_decided_once_for_a_step_that_waits(engine: Engine) -> None:
    await engine.sql(
        "INSERT INTO bus_topicvalue (topic, payload, size, retained, value, quality, at, count, rate) "
        "VALUES ('mode', 'on', 2, false, '\"on\"', 'good', %s, 1, 0)",
        engine.clock.now(),
    )
    run_id = await engine.begin(
        task("""    - {id: pause, type: wait, duration: 1h, condition: "{{ state('mode') == 'on' }}"}\n""")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:timer"
    await engine.sql("UPDATE bus_topicvalue SET value = '\"off\"'")
    await engine.pass_time(run_id, timedelta(hours=1))
    await engine.reconciler.wake_due()
    await engine.perform(run_id)
    assert await engine.steps(run_id) == [("pause", 1, "succeeded")]


async def test_a_retry_with_a_delay_waits_in_its_row(engine: Engine) -> None:
    engine.world.working = answering(outcome(1), outcome(0, b"fine\n"))  # type: ignore[assignment]
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 2, delay: 10m}}\n")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:retry"
    assert await engine.steps(run_id) == [("a", 1, "failed")]
    await engine.pass_time(run_id, timedelta(minutes=10))
    await engine.reconciler.wake_due()
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.steps(run_id) == [("a", 1, "failed"), ("a", 2, "succeeded")]


async def test_retries_end(engine: Engine) -> None:
    engine.world.working = answering(*(outcome(1) for _ in range(3)))  # type: ignore[assignment]
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 3, delay: 0s}}\n")
    )
    row = await engine.perform(run_id)
    assert (row["state"], row["reason"]) == ("failed", "step a: exit status 1, expected 0")
    assert len(engine.world.jobs) == 3


async def test_a_broker_that_is_away_is_waited_for_without_using_up_attempts(engine: Engine) -> None:
    away = [True, True, False]

    async def publishing(topic: str, payload: bytes) -> None:
        if away.pop(0):
            raise BusAway("not connected")

    engine.world.publishing = publishing
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    for _ in range(2):
        await engine.perform(run_id)
        assert await engine.state(run_id) == "waiting:network"
        await engine.pass_time(run_id, timedelta(minutes=1))
        assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]


async def test_what_the_broker_refuses_for_good_is_not_tried_again(engine: Engine) -> None:
    async def publishing(topic: str, payload: bytes) -> None:
        raise TopicRefused("not this one")

    engine.world.publishing = publishing
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b, retry: 5}\n"))
    assert (await engine.perform(run_id))["state"] == "failed"
    assert len(engine.world.published) == 1


async def test_a_run_does_not_outlive_its_own_time_limit_not_even_asleep(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n", timeout="5m"))
    row = await engine.perform(run_id)
    assert row["wake_at"] <= row["deadline"]
    await engine.pass_time(run_id, timedelta(minutes=6))
    await engine.reconciler.wake_due()
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "time limit" in row["reason"]


# --- outputs, errors, cache


async def test_outputs_travel_and_text_is_never_rendered_twice(engine: Engine) -> None:
    engine.world.working = answering(outcome(0, b"{{ secret }}\n"))  # type: ignore[assignment]
    run_id = await engine.begin(
        task(
            "    - {id: a, type: shell, args: [/bin/x]}\n"
            "    - {id: b, type: mqtt, topic: a/b, payload: '{{ output }} {{ outputs.a }}'}\n"
        )
    )
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert engine.world.published == [("a/b", b"{{ secret }} {{ secret }}")]


async def test_what_a_command_wrote_to_standard_error_is_a_visible_warning(engine: Engine) -> None:
    engine.world.working = answering(outcome(0, b"", b"tail: no such file\n"))  # type: ignore[assignment]
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x]}\n"))
    row = await engine.perform(run_id)
    assert (row["state"], row["warning"]) == ("succeeded", "a: tail: no such file")


async def test_binary_output_is_kept_shown_and_cached_without_poisoning_the_run(engine: Engine) -> None:
    junk = bytes(range(256))
    engine.world.working = answering(outcome(0, junk, junk))  # type: ignore[assignment]
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x], cache_key: junk}\n"))
    row = await engine.perform(run_id)
    assert row["state"] == "succeeded"
    assert row["warning"].startswith("a: ")
    (kept,) = await engine.sql("SELECT value FROM cache_cacheentry WHERE key = 'junk'")
    assert "\ufffd" in kept["value"]


async def test_a_binary_failure_is_a_failure(engine: Engine) -> None:
    async def publishing(topic: str, payload: bytes) -> None:
        raise TopicRefused("no \x00 here")

    engine.world.publishing = publishing
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    assert (await engine.perform(run_id))["state"] == "failed"


async def test_previous_is_the_value_of_the_run_before(engine: Engine) -> None:
    await engine.load(
        task(
            "    - {id: a, type: set, cache_key: n, value: '{{ (previous or 0) + 1 }}'}\n"
            "    - {id: b, type: mqtt, topic: a/b, payload: '{{ cache.n }}'}\n"
        )
    )
    for _ in range(3):
        assert (await engine.perform(await engine.start("t")))["state"] == "succeeded"
    assert [payload for _, payload in engine.world.published] == [b"1", b"2", b"3"]
    (entry,) = await engine.sql("SELECT value, version FROM cache_cacheentry WHERE key = 'n'")
    assert entry == {"value": 3, "version": 3}


async def test_a_failed_step_does_not_change_its_cached_value(engine: Engine) -> None:
    engine.world.working = answering(outcome(0, b"good"), outcome(1, b"bad"))  # type: ignore[assignment]
    await engine.load(task("    - {id: a, type: shell, args: [/bin/x], cache_key: k}\n"))
    for _ in range(2):
        await engine.perform(await engine.start("t"))
    (entry,) = await engine.sql("SELECT value FROM cache_cacheentry")
    assert entry["value"] == "good"


async def test_a_missing_name_fails_the_step_and_says_which(engine: Engine) -> None:
    run_id = await engine.begin(
        task("    - {id: a, type: set, value: {}}\n    - {id: b, type: mqtt, topic: 'x/{{ output.nope }}'}\n")
    )
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "nope" in row["reason"]
    assert engine.world.published == []


async def test_on_failure_knows_the_error_and_the_run_stays_failed(engine: Engine) -> None:
    engine.world.working = answering(outcome(7))  # type: ignore[assignment]
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n")
        + "  on_failure:\n    - {id: f, type: mqtt, topic: a/f, payload: '{{ error }}'}\n"
    )
    assert (await engine.perform(run_id))["state"] == "failed"
    assert engine.world.published == [("a/f", b"step a: exit status 7, expected 0")]


# --- delivery (P7, P9)

TELL = "    - {id: tell, type: notification, platform: loopback, message: hello}\n"


async def delivering(engine: Engine, text: str) -> UUID:
    run_id = await engine.begin(text)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:delivery"
    assert ("tell", 1, "handed_over") in await engine.steps(run_id)
    assert await engine.count("outbox_item") == 1
    return run_id


async def test_a_run_is_green_only_when_its_message_was_delivered(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.receipts.delivered(run_id, "tell", {"message_ids": ["1"]})
    assert await engine.state(run_id) == "succeeded"
    assert await engine.steps(run_id) == [("tell", 1, "succeeded")]


async def test_a_receipt_that_comes_twice_changes_nothing(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    for _ in range(2):
        await engine.receipts.delivered(run_id, "tell", {})
    await engine.receipts.failed(run_id, "tell", "late")
    assert await engine.state(run_id) == "succeeded"
    assert (
        await engine.count("events_event WHERE data ->> 'state' = 'succeeded' AND type = 'run.changed'") == 1
    )


async def test_a_message_that_cannot_be_delivered_fails_the_run_by_its_on_failure(engine: Engine) -> None:
    text = task(TELL) + "  on_failure:\n    - {id: f, type: mqtt, topic: a/f, payload: '{{ error }}'}\n"
    run_id = await delivering(engine, text)
    await engine.receipts.failed(run_id, "tell", "chat not found")
    assert await engine.state(run_id) == "queued"
    assert (await engine.perform(run_id))["state"] == "failed"
    assert engine.world.published == [("a/f", b"step tell: chat not found")]
    assert await engine.count("outbox_item") == 1


@pytest.mark.parametrize(("on_error", "ends"), [("stop", "failed"), ("continue", "succeeded")])
async def test_a_refusal_that_comes_while_the_run_goes_on_is_not_forgotten(
    engine: Engine, on_error: str, ends: str
) -> None:
    refused = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await refused.wait()

    engine.world.publishing = publishing
    told = TELL.replace("}", f", on_error: {on_error}}}")
    run_id = await engine.begin(task(told + "    - {id: b, type: mqtt, topic: a/b}\n"))
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await engine.receipts.failed(run_id, "tell", "chat not found")
    refused.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "queued"
    row = await engine.perform(run_id)
    assert row["state"] == ends
    assert "chat not found" in row["reason"] + row["warning"]
    assert len(engine.world.published) == 1


async def test_a_receipt_that_comes_while_the_run_goes_on_counts(engine: Engine) -> None:
    delivered = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await delivered.wait()

    engine.world.publishing = publishing
    run_id = await engine.begin(task(TELL + "    - {id: b, type: mqtt, topic: a/b}\n"))
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await engine.receipts.delivered(run_id, "tell", {})
    delivered.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "succeeded"


async def test_confirm_handed_over_does_not_wait_for_the_receipt(engine: Engine) -> None:
    run_id = await engine.begin(task(TELL.replace("}", ", confirm: handed_over}")))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.count("outbox_item") == 1


async def test_a_crash_after_the_hand_over_writes_no_second_outbox_row(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.sql("DELETE FROM runs_step")
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = ''")
    await engine.perform(run_id)
    assert await engine.count("outbox_item") == 1


async def test_a_run_left_waiting_for_a_delivery_that_is_over_is_found(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.sql("UPDATE runs_step SET state = 'succeeded'")
    assert [repair.subject for repair in await engine.reconciler.requeue_delivered()] == [str(run_id)]
    assert (await engine.perform(run_id))["state"] == "succeeded"


# --- task in task

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


# --- being stopped


async def test_a_queued_or_waiting_run_ends_at_once_when_cancelled(engine: Engine) -> None:
    queued = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n"))
    waiting = await engine.start("t")
    await engine.perform(waiting)
    for run_id in (queued, waiting):
        await sync_to_async(services.cancel)(run_id, BOX)
        row = await engine.run(run_id)
        assert (row["state"], row["finished_at"] is not None) == ("cancelled", True)
        with pytest.raises(services.NotNow):
            await sync_to_async(services.cancel)(run_id, BOX)


async def test_a_running_run_is_stopped_with_its_work(engine: Engine) -> None:
    ended = asyncio.Event()

    async def work(job: Job) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("never")

    engine.world.working = work
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.jobs, 10)
    await sync_to_async(services.cancel)(run_id, BOX)
    await worker.look(run_id)
    await asyncio.wait_for(ended.wait(), 10)
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "cancelled"
    assert engine.world.published == []


async def test_a_cancellation_that_meets_a_run_on_its_way_to_sleep_is_not_forgotten(engine: Engine) -> None:
    """It was asked for while the run was running, and the run went to wait before anybody looked."""
    asked = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await asked.wait()

    engine.world.publishing = publishing
    run_id = await engine.begin(
        task("    - {id: a, type: mqtt, topic: a/b}\n    - {id: pause, type: wait, duration: 7d}\n")
    )
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await sync_to_async(services.cancel)(run_id, BOX)
    asked.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "cancelled"


async def test_an_ambiguous_run_can_be_cancelled(engine: Engine) -> None:
    engine.world.working = answering(outcome(None, signal=9, timed_out=True))  # type: ignore[assignment]
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x]}\n"))
    await engine.perform(run_id)
    await sync_to_async(services.cancel)(run_id, BOX)
    assert await engine.state(run_id) == "cancelled"


async def test_the_all_stop_holds_effects_and_lets_them_go_when_released(engine: Engine) -> None:
    run_id = await engine.begin(
        task("    - {id: a, type: set, value: 1}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    await sync_to_async(allstop.engage)(Level.FREEZE, "smoke", BOX, engine.clock.now())
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:all_stop"
    assert engine.world.published == []
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]
    await engine.pass_time(run_id, timedelta(minutes=1))
    await engine.reconciler.wake_due()
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:all_stop"
    await sync_to_async(allstop.release)("over", BOX, engine.clock.now())
    await engine.pass_time(run_id, timedelta(minutes=1))
    await engine.reconciler.wake_due()
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert len(engine.world.published) == 1


async def test_what_the_gate_denies_is_not_done_and_fails_with_the_reason(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b, retry: 5}\n", principal="viewer"))
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "refused: " in row["reason"]
    assert engine.world.published == []


async def test_an_intent_and_its_audit_record_stand_before_the_effect(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []

    async def publishing(topic: str, payload: bytes) -> None:
        seen.append(
            (
                await engine.count("runs_step WHERE state = 'intent'"),
                await engine.count(
                    "audit_record WHERE kind = 'step.intent' AND principal = 'box' AND seq > 0"
                ),
            )
        )

    engine.world.publishing = publishing
    before = await engine.count("audit_record WHERE kind = 'step.intent' AND principal = 'box' AND seq > 0")
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    await engine.perform(run_id)
    assert seen == [(1, before + 1)]
