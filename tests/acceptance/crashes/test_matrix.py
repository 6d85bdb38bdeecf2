"""``kill -9`` at every named place, under every kind of step: what was acknowledged ends, and nothing is done twice."""

import random
import time
from itertools import count

import pytest

from tests.acceptance.box import House
from tests.acceptance.checks import check_clock
from tests.acceptance.crashes.checks import (
    check_counts,
    check_effects,
    check_heard,
    check_messages,
    committed,
    wait_until_settled,
)
from tests.acceptance.crashes.conftest import Plan
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

EVENTS = 8
CRASH_SECONDS = 60
SETTLE_SECONDS = 90

WORKER = (
    "worker.after_claim",
    "worker.before_intent",
    "worker.after_intent",
    "worker.after_effect",
    "worker.after_result",
    "worker.before_release",
    "worker.after_release",
)
OUTBOX = (
    "outbox.before_send",
    "outbox.after_send",
    "outbox.after_receipt",
    "receipts.before_commit",
    "receipts.after_commit",
)
INTAKE = ("intake.before_commit", "intake.after_commit", "intake.before_ack", "intake.after_ack")
REFLEX = ("reflex.before_effect", "reflex.after_effect", "reflex.before_commit", "reflex.after_commit")
BEFORE_ACK = (*INTAKE, *REFLEX, *OUTBOX)
"""Places at which an event may be committed and not acknowledged: it comes again, and its second run says so.
The reflex lane acts at its commit, while acknowledgements are still on their way; the outbox's sender dies with the
same process, in the middle of whatever has just come in."""
SCHEDULE = ("schedule.after_occurrence", "schedule.before_commit", "schedule.after_commit")
WEBHOOK = ("webhook.before_commit", "webhook.before_answer")

CASES = [
    *((point, task) for point in WORKER for task in ("m_idempotent", "m_unsafe", "m_tell", "m_wait")),
    *((point, "m_tell") for point in OUTBOX),
    *((point, task) for point in INTAKE for task in ("m_reflex", "m_unsafe")),
    *((point, "m_reflex") for point in REFLEX),
]
numbers = count(1_000, 1_000)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("evidence")]


def times_of(request: pytest.FixtureRequest, case: str) -> int:
    """At which time the process dies: another one for each seed."""
    return random.Random(f"{request.config.getoption('--sample-seed')}/{case}").randint(1, EVENTS // 2)


@pytest.mark.parametrize(("point", "task"), CASES)
def test_a_crash_loses_nothing_and_repeats_nothing(
    house: House, plan: Plan, notebook: Notebook, request: pytest.FixtureRequest, point: str, task: str
) -> None:
    first = next(numbers)
    wanted = set(range(first, first + EVENTS))
    with house.device() as device, plan.death_at(point, times_of(request, f"{point}/{task}")) as marker:
        for seq in sorted(wanted):
            device.send(seq, task.replace("_", "/"))
            time.sleep(0.05)  # apart, so that some come before, some during and some after the crash
        wait_for(marker.exists, CRASH_SECONDS, f"the process dies at {point}")
        before = committed(house, notebook, task)
        wait_for(lambda: wanted <= device.acknowledged.keys(), 60, "the broker takes the events")
        wait_until_settled(house, task, wanted, SETTLE_SECONDS)
        doubtful, heard = set(device.doubtful), list(device.heard)
    twice = check_counts(house, task, wanted, doubtful)
    assert twice == 0 or point in BEFORE_ACK, "a second run without a crash between commit and ack"
    check_effects(house, notebook, task, before)
    if task == "m_tell":
        check_messages(house, task)
    if task == "m_reflex":
        check_heard(house, task, heard)


@pytest.mark.parametrize("point", SCHEDULE)
def test_a_crash_of_the_clock_s_door_skips_no_due_time_and_doubles_none(
    house: House, plan: Plan, notebook: Notebook, request: pytest.FixtureRequest, point: str
) -> None:
    with plan.death_at(point, times_of(request, point)) as marker:
        wait_for(marker.exists, CRASH_SECONDS, f"the process dies at {point}")
        before = committed(house, notebook, "clockwork")
    since = len(house.runs_of("clockwork"))
    wait_for(lambda: len(house.runs_of("clockwork")) >= since + 3, SETTLE_SECONDS, "the clock goes on")
    check_clock(house)
    check_effects(house, notebook, "clockwork", before)
    orphans = house.sql(
        "SELECT o.id FROM tasks_occurrence o WHERE o.state = 'fired' AND NOT EXISTS "
        "(SELECT 1 FROM runs_run r WHERE r.id = o.run_id)"
    )
    assert orphans == []


@pytest.mark.parametrize("point", WEBHOOK)
def test_a_crash_of_the_web_process_loses_no_call_that_was_taken(
    house: House, plan: Plan, notebook: Notebook, request: pytest.FixtureRequest, point: str
) -> None:
    first = next(numbers)
    with plan.death_at(point, times_of(request, point)) as marker:
        taken = {seq for seq in range(first, first + EVENTS // 2) if house.call_hook(seq)}
        wait_for(marker.exists, CRASH_SECONDS, f"the process dies at {point}")
        before = committed(house, notebook, "m_idempotent")
    house.wait_ready()
    taken |= {seq for seq in range(first + EVENTS // 2, first + EVENTS) if house.call_hook(seq)}
    assert len(taken) >= EVENTS // 2
    wait_until_settled(house, "m_idempotent", taken, SETTLE_SECONDS)
    check_counts(house, "m_idempotent", taken, set())
    check_effects(house, notebook, "m_idempotent", before)


def test_a_crash_of_the_recovery_itself_is_recovered(
    house: House, plan: Plan, notebook: Notebook, request: pytest.FixtureRequest
) -> None:
    """The worker dies, and whoever queues its runs again dies in the middle of that."""
    first = next(numbers)
    wanted = set(range(first, first + EVENTS))
    with house.device() as device:
        with plan.death_at("worker.after_effect", 2) as dead:
            for seq in sorted(wanted):
                device.send(seq, "m/unsafe")
            wait_for(dead.exists, CRASH_SECONDS, "the worker dies")
        with plan.death_at("reconciler.before_commit", 1) as marker:
            before = committed(house, notebook, "m_unsafe")
            wait_for(marker.exists, CRASH_SECONDS, "the recovery dies")
        wait_for(lambda: wanted <= device.acknowledged.keys(), 60, "the broker takes the events")
        wait_until_settled(house, "m_unsafe", wanted, SETTLE_SECONDS)
    check_counts(house, "m_unsafe", wanted, set(device.doubtful))
    check_effects(house, notebook, "m_unsafe", before)
