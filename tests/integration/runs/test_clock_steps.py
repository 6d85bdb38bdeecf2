"""A wall clock that is set forward or back: nothing hangs, and nothing that lives loses what it holds."""

from datetime import datetime, timedelta
from uuid import UUID

from appliance.lib.clock import ManualClock, SystemClock
from appliance.runs.invariants import waits
from appliance.runs.ledger import Ledger
from appliance.runs.reconciler import Reconciler
from appliance.runs.rows import LEASE, RunRow
from tests.integration.runs.conftest import Engine, answering, outcome, task
from tests.integration.runs.test_leases import TASK, lease_of

HOUR = timedelta(hours=1)
PATIENCE = 6.0


def ahead(engine: Engine) -> None:
    """From here on the box lives an hour ahead of the database's clock: until that is set back."""
    engine.clock = ManualClock(SystemClock().now() + HOUR)


def set_back(engine: Engine) -> datetime:
    engine.clock = ManualClock(SystemClock().now())
    return engine.clock.now()


async def go_on(engine: Engine, run_id: UUID) -> None:
    assert [repair.subject for repair in await engine.reconciler.repair(waits)] == [str(run_id)]
    assert await engine.reconciler.wake_due() == [run_id]


async def test_a_wait_over_a_clock_that_is_set_back_lasts_one_more_length_at_most(engine: Engine) -> None:
    ahead(engine)
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 10m}\n"))
    await engine.perform(run_id)
    now = set_back(engine)
    await go_on(engine, run_id)
    row = await engine.perform(run_id)
    assert (row["waiting_for"], row["wake_at"]) == ("timer", now + timedelta(minutes=10))
    assert await engine.reconciler.repair(waits) == [], "once"
    await engine.pass_time(run_id, timedelta(minutes=10))
    assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id))["state"] == "succeeded"


async def test_a_retry_over_a_clock_that_is_set_back_comes_at_once(engine: Engine) -> None:
    engine.world.working = answering(outcome(1), outcome(0, b"fine\n"))
    ahead(engine)
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 2, delay: 5m}}\n")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:retry"
    set_back(engine)
    await go_on(engine, run_id)
    assert (await engine.perform(run_id))["state"] == "succeeded"


async def test_waits_of_a_clock_that_goes_right_are_left_alone(engine: Engine) -> None:
    engine.world.working = answering(outcome(1))
    await engine.perform(await engine.begin(task("    - {id: pause, type: wait, duration: 10m}\n")))
    await engine.perform(
        await engine.begin(
            task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 2, delay: 5m}}\n")
        )
    )
    assert await engine.reconciler.repair(waits) == []


async def claimed(engine: Engine) -> tuple[Ledger, RunRow, ManualClock, Reconciler]:
    run_id, ledger, clock = await engine.begin(TASK), engine.ledger(), ManualClock()
    row = await ledger.claim(run_id)
    assert row
    return ledger, row, clock, Reconciler(engine.pool, clock, patience=PATIENCE)


async def look_for(reconciler: Reconciler, clock: ManualClock, seconds: float) -> list[str]:
    """The reactor's looks, each two seconds."""
    done = []
    for _ in range(int(seconds / 2) + 1):
        done += [repair.done for repair in await reconciler.recover()]
        clock.advance(timedelta(seconds=2))
    return done


async def test_a_clock_set_forward_takes_no_run_from_a_worker_that_lives(engine: Engine) -> None:
    ledger, row, clock, reconciler = await claimed(engine)
    await engine.sql("UPDATE runs_run SET lease_until = lease_until - %s WHERE id = %s", HOUR, row.id)
    assert await look_for(reconciler, clock, 4) == []
    assert row.id in await ledger.renew([lease_of(ledger, row)])
    assert await look_for(reconciler, clock, 20) == []
    assert await engine.state(row.id) == "running"


async def test_one_that_does_not_renew_loses_it_all_the_same(engine: Engine) -> None:
    _, row, clock, reconciler = await claimed(engine)
    await engine.expire(row.id)
    assert await look_for(reconciler, clock, PATIENCE - 2) == []
    assert await look_for(reconciler, clock, PATIENCE) == ["queued"]


async def test_a_lease_from_before_the_clock_was_set_back_does_not_hold_for_an_hour(engine: Engine) -> None:
    _, row, clock, reconciler = await claimed(engine)
    await engine.sql("UPDATE runs_run SET lease_until = lease_until + %s WHERE id = %s", HOUR, row.id)
    assert await look_for(reconciler, clock, PATIENCE + 2) == ["queued"]
    assert LEASE < HOUR
