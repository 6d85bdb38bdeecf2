"""Effects are counted in the statement that commits their intent; what is beyond a budget waits or is refused."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.actions.registry import registry
from appliance.runs.turns import Turns
from appliance.safety.budgets import services as budgets
from appliance.safety.budgets.domain import Charge, Key, What
from appliance.safety.budgets.model import Then
from appliance.safety.policy.services import apply
from appliance.sandbox.ebpf.record import Observed
from appliance.sandbox.ebpf.watched import Watched
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome, task
from tests.integration.runs.locks import waits_for_a_lock
from tests.integration.runs.reflex.conftest import MakeReactor, letter, reactor
from tests.wait import wait_for_async

__all__ = ["reactor"]

PUBLISH = "    - {id: out, type: mqtt, topic: out}\n"
ECHO = """
- name: echo
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}]
  actions: [{id: out, type: mqtt, topic: out, payload: "{{ payload.n }}"}]
"""


async def put(engine: Engine, budget: str) -> None:
    text = f"policy: 1\nname: test\nlayer: box\nbudgets: [{budget}]\n"
    await sync_to_async(apply)(text, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())


async def again(engine: Engine) -> dict[str, Any]:
    run_id = await engine.start("t")
    return await engine.perform(run_id)


def sent(engine: Engine) -> int:
    return len(engine.world.published)


async def told(engine: Engine) -> list[str]:
    return [
        row["rule"]
        for row in await engine.sql(
            "SELECT data->>'rule' AS rule FROM events_event WHERE type = 'budget.exceeded'"
        )
    ]


async def on_record(engine: Engine) -> list[dict[str, Any]]:
    """What the audit record says of budgets, when the reactor has put on it what waits."""
    (before,) = await engine.sql("SELECT coalesce(max(seq), 0) AS seq FROM audit_record")
    await Turns(engine.pool).hand_on()
    return await engine.sql(
        "SELECT principal, subject, body::jsonb -> 'detail' AS detail FROM audit_record"
        " WHERE kind = 'budget.exceeded' AND seq > %s ORDER BY seq",
        before["seq"],
    )


async def test_what_is_beyond_a_tasks_budget_waits_until_there_is_room(engine: Engine) -> None:
    await engine.load(task(PUBLISH, budget="{effects: 2, per: 1h}"))
    assert [(await again(engine))["state"] for _ in range(2)] == ["succeeded", "succeeded"]
    held = await again(engine)
    assert (held["state"], held["waiting_for"], sent(engine)) == ("waiting", "budget", 2)
    assert held["reason"] == "the budget of 2 effects per 1h is used up"
    assert await engine.steps(held["id"]) == [], "an intent on record would make it look begun"
    found = await engine.sql(
        "SELECT 1 FROM audit_record WHERE kind = 'step.intent' AND subject = %s", f"{held['id']}/out"
    )
    assert found == []
    await engine.pass_time(held["id"], timedelta(minutes=62))
    await engine.reconciler.wake_due()
    row = await engine.perform(held["id"])
    assert (row["state"], row["waiting_for"], row["reason"]) == ("succeeded", "", "")
    assert sent(engine) == 3


async def test_a_budget_that_denies_fails_the_step_with_its_rule(engine: Engine) -> None:
    await put(engine, "{id: publishing, kinds: mqtt, effects: 1, then: deny, reason: the bus is slow}")
    await engine.load(task(PUBLISH))
    await again(engine)
    row = await again(engine)
    assert (row["state"], sent(engine)) == ("failed", 1)
    assert "refused: the bus is slow: the budget of 1 effects per 1h is used up" in row["reason"]
    (step,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s", row["id"])
    assert step["detail"]["gate"] == "budget.box/publishing"
    records = await engine.sql(
        "SELECT kind FROM audit_record WHERE subject = %s ORDER BY seq", f"{row['id']}/out"
    )
    assert [one["kind"] for one in records] == ["step.refused"]
    (record,) = await on_record(engine)
    assert (record["principal"], record["subject"]) == (row["principal"], str(row["id"]))
    said = [record["detail"][name] for name in ("rule", "task", "used", "most", "then")]
    assert said == ["budget.box/publishing", "t", 1, 1, "deny"]


async def test_it_is_told_once_in_its_stretch(engine: Engine) -> None:
    await engine.load(task(PUBLISH, budget="{effects: 1, per: 1h, then: deny}"))
    for _ in range(4):
        await again(engine)
    assert await told(engine) == ["budget.task"]
    engine.clock.advance(timedelta(hours=3))
    for _ in range(3):
        await again(engine)
    assert await told(engine) == ["budget.task"] * 2


async def test_many_at_once_never_exceed_it(engine: Engine) -> None:
    await put(engine, "{id: all, effects: 7, then: deny}")
    await engine.load(task(PUBLISH))
    runs = [await engine.start("t") for _ in range(20)]
    workers = [engine.worker() for _ in range(3)]
    for number, run_id in enumerate(runs):
        workers[number % 3].attend(run_id)
    await wait_for_async(lambda: all(worker.active == 0 for worker in workers), 20)
    states = Counter([await engine.state(run_id) for run_id in runs])
    assert states == {"succeeded": 7, "failed": 13}
    assert sent(engine) == 7


async def test_each_task_and_each_principal_has_its_own(engine: Engine) -> None:
    await put(engine, "{id: own, each: task, effects: 1, then: deny}")
    other = task(PUBLISH).replace("name: t", "name: u")
    await engine.load(task(PUBLISH) + other)
    states = []
    for name in ("t", "u", "t"):
        run_id = await engine.start(name)
        states.append((await engine.perform(run_id))["state"])
    assert states == ["succeeded", "succeeded", "failed"]


async def test_the_same_action_is_stopped_and_another_is_not(engine: Engine) -> None:
    await engine.load(
        task("    - {id: out, type: mqtt, topic: out, payload: '{{ vars.n }}'}\n", vars="{n: 1}",
             budget="{same: 2, per: 10m, then: deny}")
    )  # fmt: skip
    states = []
    for n in (1, 1, 1, 2):
        run_id = await engine.start("t", {"vars": {"n": n}})
        states.append((await engine.perform(run_id))["state"])
    assert states == ["succeeded", "succeeded", "failed", "succeeded"]


async def test_an_agent_that_goes_round_in_circles_is_stopped_without_anybody_asking(engine: Engine) -> None:
    await engine.load(task(PUBLISH))
    await sync_to_async(apply)(
        "policy: 1\nname: test\nlayer: box\ndefault: allow\n",
        "p.yaml",
        CONSOLE,
        engine.clock.now(),
        kinds=registry(),
    )

    async def by(origin: str) -> str:
        run_id = await engine.start("t")
        await engine.sql("UPDATE runs_run SET origin = %s WHERE id = %s", origin, run_id)
        return str((await engine.perform(run_id))["state"])

    assert [await by("cron") for _ in range(8)] == ["succeeded"] * 8
    assert [await by("agent") for _ in range(6)] == ["succeeded"] * 5 + ["failed"]


async def test_seconds_of_work_are_counted_when_they_are_over(engine: Engine) -> None:
    async def work(job: Job) -> Outcome:
        engine.clock.advance(timedelta(seconds=40))
        return outcome()

    engine.world.working = work
    await engine.load(
        task(
            "    - {id: a, type: shell, args: [/bin/true], effect: idempotent}\n",
            budget="{time: 1m, per: 1h}",
        )
    )
    assert [(await again(engine))["state"] for _ in range(3)] == ["succeeded", "succeeded", "waiting"]
    assert len(engine.world.jobs) == 2


async def test_tokens_are_counted_by_whoever_spends_them(engine: Engine) -> None:
    charge = Charge(Key("box/llm|", What.TOKENS, 3600), 0, 1000, "budget.box/llm", Then.DENY)
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        assert await budgets.charge(connection, [charge], now) == []
        await budgets.spend(connection, [charge], {What.TOKENS: 1500}, now)
        (over,) = await budgets.charge(connection, [charge], now)
    assert (over.used, over.news, over.charge) == (1500, True, charge)
    assert over.free_at > now + timedelta(minutes=59)
    (row,) = await sync_to_async(budgets.spent)()
    assert (row.key, row.used) == (charge.key, 1500)


async def test_no_stretch_of_its_length_ever_has_more(engine: Engine) -> None:
    charge = Charge(Key("s", What.EFFECTS, 60), 1, 5, "budget.s", Then.HOLD)
    begin, passed = engine.clock.now(), []
    async with engine.pool.connection() as connection:
        for step in range(400):
            at = begin + timedelta(seconds=step * 0.7)
            if not await budgets.charge(connection, [charge], at):
                passed.append(at)
    assert all(last - first > timedelta(seconds=60) for first, last in zip(passed, passed[5:], strict=False))
    assert len(passed) >= 5 * 4


async def test_a_clock_that_is_set_back_frees_nothing(engine: Engine) -> None:
    charge = Charge(Key("s", What.EFFECTS, 60), 1, 1, "budget.s", Then.HOLD)
    now = engine.clock.now()
    async with engine.pool.connection() as connection:
        assert not await budgets.charge(connection, [charge], now)
        assert await budgets.charge(connection, [charge], now - timedelta(days=2))
        assert not await budgets.charge(connection, [charge], now - timedelta(days=2) + timedelta(seconds=70))


async def test_writers_whose_clocks_differ_a_little_never_exceed_it(engine: Engine) -> None:
    charge = Charge(Key("s", What.EFFECTS, 60), 1, 10, "budget.s", Then.HOLD)
    second = engine.clock.now().replace(microsecond=0)
    apart = (10, -10, 10, -10)
    moments = [second + timedelta(seconds=n, milliseconds=ms) for n in range(1, 31) for ms in apart]
    async with engine.pool.connection() as connection:
        found = [await budgets.charge(connection, [charge], at) for at in moments]
    assert sum(not over for over in found) == 10
    assert (await told(engine), len(await on_record(engine))) == (["budget.s"], 1)


async def test_a_run_looks_again_before_there_is_room_because_the_budget_may_be_raised(
    engine: Engine,
) -> None:
    await put(engine, "{id: all, effects: 1, per: 31d}")
    await engine.load(task(PUBLISH))
    await again(engine)
    held = await again(engine)
    assert (held["state"], held["waiting_for"]) == ("waiting", "budget")
    await put(engine, "{id: all, effects: 2, per: 31d}")
    await engine.pass_time(held["id"], timedelta(minutes=5))
    await engine.reconciler.wake_due()
    assert (await engine.perform(held["id"]))["state"] == "succeeded"


async def test_a_result_locks_the_audit_record_after_what_it_spends(engine: Engine) -> None:
    """As an intent does: else the two could wait for each other."""
    held, free = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with engine.pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT FROM safety_spending FOR UPDATE")
            held.set()
            await free.wait()

    async def work(job: Job) -> Outcome:
        holding.append(asyncio.create_task(hold()))
        await held.wait()
        return replace(outcome(), watched=Watched(Observed(), findings=("executed /bin/sh",)))

    holding: list[asyncio.Task[None]] = []
    engine.world.working = work
    shell = "    - {id: a, type: shell, args: [/bin/true], effect: idempotent, programs: [id]}\n"
    await engine.load(task(shell, budget="{time: 1m, per: 1h}"))
    performing = asyncio.create_task(again(engine))
    await wait_for_async(lambda: waits_for_a_lock(engine))
    try:
        await engine.sql("SELECT FROM audit_head FOR UPDATE NOWAIT")
    finally:
        free.set()
        row = await performing
        await holding[0]
    assert row["state"] == "succeeded"
    (found,) = await engine.sql(
        "SELECT 1 FROM audit_record WHERE kind = 'step.undeclared' AND subject = %s", f"{row['id']}/a"
    )
    assert found


async def test_where_one_budget_is_used_up_no_other_is_charged(engine: Engine) -> None:
    wide = Charge(Key("wide", What.EFFECTS, 60), 1, 10, "budget.wide", Then.HOLD)
    narrow = Charge(Key("narrow", What.EFFECTS, 60), 1, 1, "budget.narrow", Then.HOLD)
    async with engine.pool.connection() as connection:
        found = [await budgets.charge(connection, [wide, narrow], engine.clock.now()) for _ in range(4)]
    assert [[one.charge.rule for one in over] for over in found] == [[], *[["budget.narrow"]] * 3]
    assert {row.key.subject: row.used for row in await sync_to_async(budgets.spent)()} == {
        "wide": 1,
        "narrow": 1,
    }


async def test_the_reflex_lane_pays_with_the_commit_and_hands_over_what_is_beyond(
    engine: Engine, reactor: MakeReactor
) -> None:
    await put(engine, "{id: out, topic: out, effects: 5, then: deny}")
    here = await reactor(ECHO)
    await here.follow()
    for burst in range(3):
        await here.deliver(*(letter("in/a", {"n": burst * 4 + n}) for n in range(4)))
        await here.settle()
    rows = await engine.sql("SELECT id, state, lane FROM runs_run ORDER BY id")
    assert Counter(row["state"] for row in rows) == {"succeeded": 5, "queued": 7}
    assert sent(engine) == 5
    queued: list[UUID] = [row["id"] for row in rows if row["state"] == "queued"]
    assert {(await engine.perform(run_id))["state"] for run_id in queued} == {"failed"}
    assert sent(engine) == 5
    assert await told(engine) == ["budget.box/out"]
    (record,) = await on_record(engine)
    assert (record["principal"], record["detail"]["rule"]) == ("trigger:echo/m", "budget.box/out")


async def test_both_lanes_count_into_one_budget(engine: Engine, reactor: MakeReactor) -> None:
    await put(engine, "{id: out, topic: out, effects: 3}")
    await engine.load(task(PUBLISH))
    here = await reactor(ECHO)
    await here.follow()
    await asyncio.gather(again(engine), again(engine))
    await here.deliver(letter("in/a", {"n": 1}), letter("in/a", {"n": 2}))
    await here.settle()
    assert sent(engine) == 3
    assert (await again(engine))["waiting_for"] == "budget"
