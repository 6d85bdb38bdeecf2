"""What people and the plant say about an effect counts at its moment, in both lanes, and is named where it decided."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.actions.registry import registry
from appliance.bus.services import TopicValue, remember
from appliance.lib.clock import SystemClock
from appliance.safety.budgets.model import Then
from appliance.safety.errors import ReadOnlyNow
from appliance.safety.plant_state import services
from appliance.safety.plant_state.domain import Scope
from appliance.safety.plant_state.keeper import RestraintKeeper
from appliance.safety.plant_state.services import Hours, NotFound, Refused
from appliance.safety.policy.services import apply
from tests.database import address
from tests.integration.runs.conftest import Engine, task
from tests.integration.runs.locks import waits_for_a_lock
from tests.integration.runs.reflex.conftest import MakeReactor, letter, reactor
from tests.wait import wait_for_async

__all__ = ["reactor"]

PUBLISH = "    - {id: out, type: mqtt, topic: line3/pump-1/cmd}\n"
ECHO = """
- name: echo
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}]
  actions: [{id: out, type: mqtt, topic: line3/pump-1/cmd, payload: "{{ payload.n }}"}]
"""
ANA = Principal("user:ana", Role.OPERATOR)
BEN = Principal("user:ben", Role.ENGINEER)
ADA = Principal("user:ada", Role.ADMIN)
NOW = SystemClock().now()


async def lock(scope: Scope, pattern: str = "", then: Then = Then.DENY) -> int:
    row = await sync_to_async(services.lock_out)(scope, pattern, "bearing is open", ANA, NOW, then)
    return int(row.pk)


async def put(engine: Engine, plant: str) -> None:
    text = f"policy: 1\nname: test\nlayer: box\nplant: [{plant}]\n"
    await sync_to_async(apply)(text, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())


async def say(engine: Engine, topic: str, value: str, *, age: float = 0) -> None:
    at = engine.clock.now() - timedelta(seconds=age)
    async with engine.pool.connection() as connection:
        await remember(connection, [TopicValue(topic, value.encode(), at)])


async def again(engine: Engine) -> dict[str, Any]:
    run_id = await engine.start("t")
    return await engine.perform(run_id)


@pytest.mark.parametrize(
    ("scope", "pattern", "taken"),
    [
        (Scope.BOX, "", True),
        (Scope.TOPIC, "line3/#", True),
        (Scope.TOPIC, "line4/#", False),
        (Scope.DEVICE, "pump-1", True),
        (Scope.DEVICE, "pump-*", True),
        (Scope.DEVICE, "pump", False),
        (Scope.TASK, "t", True),
        (Scope.TASK, "u*", False),
    ],
)
async def test_what_is_locked_out_is_not_touched(
    engine: Engine, scope: Scope, pattern: str, taken: bool
) -> None:
    await engine.load(task(PUBLISH))
    number = await lock(scope, pattern)
    row = await again(engine)
    assert row["state"] == ("failed" if taken else "succeeded")
    if taken:
        assert "is locked out by user:ana" in row["reason"]
        assert "bearing is open" in row["reason"]
        (step,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s", row["id"])
        assert step["detail"]["gate"] == f"lockout.{number}"


async def test_a_lock_out_that_holds_lets_the_run_go_on_when_it_is_given_back(engine: Engine) -> None:
    await engine.load(task(PUBLISH))
    number = await lock(Scope.DEVICE, "pump-1", Then.HOLD)
    row = await again(engine)
    assert (row["state"], row["waiting_for"]) == ("waiting", "plant_state")
    await sync_to_async(services.give_back)(number, "closed again", ANA, NOW)
    await engine.pass_time(row["id"], timedelta(seconds=3))
    await engine.reconciler.wake_due()
    assert (await engine.perform(row["id"]))["state"] == "succeeded"


async def test_it_counts_from_the_next_effect_of_a_run_that_is_under_way(engine: Engine) -> None:
    async def publishing(topic: str, payload: bytes) -> None:
        if len(engine.world.published) == 1:
            await lock(Scope.TOPIC, "line3/#")

    engine.world.publishing = publishing
    run_id = await engine.begin(task(PUBLISH + PUBLISH.replace("id: out", "id: second")))
    assert (await engine.perform(run_id))["state"] == "failed"
    assert len(engine.world.published) == 1


async def test_it_counts_in_the_reflex_lane(engine: Engine, reactor: MakeReactor) -> None:
    here = await reactor(ECHO)
    await here.deliver(letter("in/a", {"n": 1}))
    await here.settle()
    await lock(Scope.DEVICE, "pump-1")
    await here.deliver(letter("in/a", {"n": 2}))
    await here.settle()
    await here.follow()
    await here.deliver(letter("in/a", {"n": 3}))
    await here.settle()
    assert [payload for _, payload in engine.world.published] == [b"1"]
    second, third = await engine.sql("SELECT id, state FROM runs_run ORDER BY id OFFSET 1")
    assert (second["state"], third["state"]) == ("queued", "failed"), "until it follows, a worker decides"
    assert (await engine.perform(second["id"]))["state"] == "failed"


async def test_a_window_that_began_while_the_commit_waited_counts_in_the_reflex_lane(
    engine: Engine, reactor: MakeReactor
) -> None:
    now = engine.clock.now()
    hours = Hours(begins=now + timedelta(minutes=1), ends=now + timedelta(hours=1))
    await sync_to_async(services.plan)("shutdown", Scope.TOPIC, "line3/#", hours, BEN, now)
    here = await reactor(ECHO)
    await here.follow()
    await here.deliver(letter("in/a", {"n": 1}))
    await here.settle()
    async with engine.pool.connection() as other:
        async with other.transaction():
            await other.execute("SELECT FROM runs_reflex FOR UPDATE")
            delivery = asyncio.create_task(here.deliver(letter("in/a", {"n": 2})))
            await wait_for_async(lambda: waits_for_a_lock(engine))
            engine.clock.advance(timedelta(minutes=2))
        await delivery
    await here.settle()
    assert [payload for _, payload in engine.world.published] == [b"1"]
    (row,) = await engine.sql("SELECT state, reason FROM runs_run ORDER BY id OFFSET 1")
    assert (row["state"], row["reason"]) == ("queued", "topic line3/# is in maintenance (shutdown)")


async def test_what_was_read_last_stays_where_an_earlier_reading_ends_after_it(engine: Engine) -> None:
    keeper = RestraintKeeper()
    async with engine.pool.connection() as one, engine.pool.connection() as other:
        async with other.transaction():
            await other.execute("LOCK TABLE safety_window")
            early = asyncio.create_task(keeper.follow(one, 5))
            await wait_for_async(lambda: waits_for_a_lock(engine))
            await lock_in(other, "pump-1")
            await keeper.follow(other, 6)
        await early
    assert (keeper.epoch, [one.target.pattern for one in keeper.restraints.lockouts]) == (6, ["pump-1"])


async def lock_in(connection: AsyncConnection[Any], device: str) -> None:
    await connection.execute(
        'INSERT INTO safety_lockout (scope, pattern, "then", by, reason, since, ended_by, ended_reason)'
        " VALUES ('device', %s, 'deny', 'user:ana', 'x', now(), '', '')",
        (device,),
    )


@pytest.fixture
async def narrow(engine: Engine) -> AsyncIterator[Engine]:
    """The engine with a pool of one connection: who holds it and asks for another waits for nothing."""
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=1, timeout=2, kwargs={"autocommit": True}, open=False
    ) as pool:
        yield replace(engine, pool=pool)


async def test_whoever_asks_a_person_looks_at_the_plant_by_the_connection_it_has(narrow: Engine) -> None:
    text = (
        "policy: 1\nname: test\nlayer: box\n"
        "rules: [{id: person, topic: line3/#, decide: ask}]\n"
        "plant: [{id: auto, topic: line3/#, state: line3/mode, is: auto}]\n"
    )
    await User.objects.acreate(username="ana", role="operator")
    await sync_to_async(apply)(text, "p.yaml", CONSOLE, narrow.clock.now(), kinds=registry())
    await narrow.load(task(PUBLISH))
    await say(narrow, "line3/mode", '"auto"')
    row = await again(narrow)
    assert (row["state"], row["waiting_for"]) == ("waiting", "approval")


@pytest.mark.django_db(transaction=True)
def test_only_who_locked_out_or_an_administrator_gives_back() -> None:
    row = services.lock_out(Scope.TASK, "t", "cleaning", ANA, NOW)
    with pytest.raises(NotAllowed, match="user:ana"):
        services.give_back(row.pk, "done", BEN, NOW)
    with pytest.raises(Refused, match="say why"):
        services.give_back(row.pk, " ", ANA, NOW)
    services.give_back(row.pk, "done", Principal("token:ana/phone", Role.OPERATOR), NOW)
    with pytest.raises(NotFound):
        services.give_back(row.pk, "done", ADA, NOW)
    services.give_back(services.lock_out(Scope.TASK, "t", "again", ANA, NOW).pk, "she went home", ADA, NOW)
    assert services.lockouts() == []


@pytest.mark.django_db(transaction=True)
def test_a_token_gives_back_only_with_the_scope_to_release_and_for_others_only_with_the_box_s() -> None:
    row = services.lock_out(Scope.TASK, "t", "cleaning", ANA, NOW)
    phone, desk = Principal("token:ana/phone", Role.OPERATOR), Principal("token:ada/desk", Role.ADMIN)
    stops, releases = phone.limited_to_scopes([Ability.STOP_ALL]), [Ability.STOP_ALL, Ability.RELEASE_STOP]
    with pytest.raises(NotAllowed, match="no right to release stop"):
        services.give_back(row.pk, "done", stops, NOW)
    with pytest.raises(NotAllowed, match="user:ana"):
        services.give_back(row.pk, "done", desk.limited_to_scopes(releases), NOW)
    assert len(services.lockouts()) == 1
    services.give_back(row.pk, "done", phone.limited_to_scopes(releases), NOW)
    row = services.lock_out(Scope.TASK, "t", "cleaning", ANA, NOW)
    services.give_back(row.pk, "done", desk.limited_to_scopes([*releases, Ability.MANAGE_BOX]), NOW)


@pytest.mark.django_db(transaction=True)
def test_a_lock_out_without_a_name_a_reason_or_a_thing_is_refused() -> None:
    for by, scope, pattern, reason in (
        (CONSOLE, Scope.BOX, "", "x"),
        (Principal("trigger:t/m", Role.ADMIN), Scope.BOX, "", "x"),
        (ANA, Scope.BOX, "", ""),
        (ANA, Scope.DEVICE, " ", "x"),
        (ANA, Scope.TOPIC, "a/#/b", "x"),
    ):
        with pytest.raises(Refused):
            services.lock_out(scope, pattern, reason, by, NOW)
    with pytest.raises(NotAllowed):
        services.lock_out(Scope.BOX, "", "x", Principal("user:eva", Role.VIEWER), NOW)


async def test_a_window_holds_while_it_is_on(engine: Engine) -> None:
    await engine.load(task(PUBLISH))
    hours = Hours(begins=NOW - timedelta(hours=1), ends=NOW + timedelta(hours=1))
    await sync_to_async(services.plan)("shutdown", Scope.TOPIC, "line3/#", hours, BEN, NOW, reason="yearly")
    row = await again(engine)
    assert (row["state"], row["waiting_for"]) == ("waiting", "plant_state")
    assert row["reason"] == "topic line3/# is in maintenance (shutdown): yearly"
    await sync_to_async(services.remove)("shutdown", BEN, NOW)
    assert (await again(engine))["state"] == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_windows_that_make_no_sense_are_refused() -> None:
    later = NOW + timedelta(hours=1)
    for name, hours in (
        ("two words", Hours(begins=NOW, ends=later)),
        ("", Hours(begins=NOW, ends=later)),
        ("past", Hours(begins=NOW - timedelta(hours=2), ends=NOW - timedelta(hours=1))),
        ("backwards", Hours(begins=later, ends=NOW)),
        ("never", Hours()),
    ):
        with pytest.raises(Refused):
            services.plan(name, Scope.BOX, "", hours, BEN, NOW)
    with pytest.raises(Refused, match="zone"):
        Hours.of_week(["mon"], "22:00", "06:00", "Europe/Atlantis")
    weekly = Hours.of_week(["mon"], "22:00", "06:00", "Europe/Paris")
    services.plan("nights", Scope.BOX, "", weekly, BEN, NOW)
    with pytest.raises(Refused, match="planned already"):
        services.plan("nights", Scope.BOX, "", weekly, BEN, NOW)
    (window,) = services.windows()
    assert window.weekly == weekly.weekly
    with pytest.raises(NotAllowed):
        services.remove("nights", ANA, NOW)


@pytest.mark.parametrize(
    ("value", "age", "state"),
    [
        (None, 0, "waiting"),
        ('"auto"', 0, "succeeded"),
        ('"auto"', 30, "waiting"),
        ('"manual"', 0, "waiting"),
        ("true", 0, "waiting"),
    ],
)
async def test_the_policys_condition_is_asked_at_the_moment_of_the_effect(
    engine: Engine, value: str | None, age: float, state: str
) -> None:
    await put(engine, "{id: auto, topic: line3/#, state: line3/mode, max_age: 10s, is: auto}")
    await engine.load(task(PUBLISH))
    if value is not None:
        await say(engine, "line3/mode", value, age=age)
    row = await again(engine)
    assert (row["state"], len(engine.world.published)) == (state, int(state == "succeeded"))
    if state == "waiting":
        assert row["waiting_for"] == "plant_state"
        assert row["reason"].startswith("line3/mode: it ")


async def test_a_kept_message_that_is_said_again_opens_no_gate(engine: Engine, reactor: MakeReactor) -> None:
    await put(engine, "{id: auto, topic: line3/#, state: in/mode, max_age: 1h, is: auto}")
    here = await reactor(ECHO)
    await here.follow()
    for kept, n, published in ((True, 1, []), (False, 2, [b"2"]), (True, 3, [b"2", b"3"])):
        await here.deliver(letter("in/mode", "auto", retain=kept))
        await here.deliver(letter("in/a", {"n": n}))
        await here.settle()
        assert [payload for _, payload in engine.world.published] == published
    waiting = await engine.sql("SELECT id FROM runs_run WHERE state <> 'succeeded' ORDER BY id LIMIT 1")
    assert len(waiting) == 1


async def test_the_policys_condition_can_deny_and_names_its_rule(engine: Engine) -> None:
    await put(engine, "{id: cool, state: line3/temp, least: 0, most: 40, then: deny, reason: too hot}")
    await engine.load(task(PUBLISH))
    await say(engine, "line3/temp", "41.5")
    row = await again(engine)
    assert "refused: too hot: line3/temp: it is 41.5, more than 40" in row["reason"]
    (step,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s", row["id"])
    assert step["detail"]["gate"] == "plant_state.box/cool"


async def test_the_policys_condition_counts_in_the_reflex_lane(engine: Engine, reactor: MakeReactor) -> None:
    await put(engine, "{id: auto, topic: line3/#, state: in/mode, max_age: 1h, is: auto}")
    here = await reactor(ECHO)
    await here.follow()
    await here.deliver(letter("in/a", {"n": 1}))
    await here.settle()
    assert engine.world.published == []
    await here.deliver(letter("in/mode", "auto"))
    await here.settle()
    await here.deliver(letter("in/a", {"n": 2}))
    await here.settle()
    assert [payload for _, payload in engine.world.published][-1:] == [b"2"]


async def test_a_tasks_own_condition_is_asked_again_where_its_commit_came_late(
    engine: Engine, reactor: MakeReactor
) -> None:
    gate = "  gate: {plant_state: \"{{ state('in/mode', max_age='1h') == 'auto' }}\"}\n"
    here = await reactor(ECHO + gate)
    await here.deliver(letter("in/mode", "auto"))
    await here.settle()
    async with engine.pool.connection() as other:
        async with other.transaction():
            await other.execute("SELECT FROM runs_reflex FOR UPDATE")
            delivery = asyncio.create_task(here.deliver(letter("in/a", {"n": 2})))
            await wait_for_async(lambda: waits_for_a_lock(engine))
            engine.clock.advance(timedelta(seconds=30))
        await delivery
    await here.settle()
    assert b"2" not in [payload for _, payload in engine.world.published]
    (row,) = await engine.sql("SELECT state, reason FROM runs_run ORDER BY id DESC LIMIT 1")
    assert (row["state"], "asked again" in row["reason"]) == ("queued", True)


async def test_a_steps_own_condition_counts_for_that_step_alone(engine: Engine) -> None:
    await say(engine, "plant/mode", '"run"')
    closed = "{plant_state: \"{{ state('plant/mode', max_age='10s') == 'stop' }}\", then: deny}"
    steps = PUBLISH + f"    - {{id: valve, type: mqtt, topic: line3/valve, gate: {closed}}}\n"
    run_id = await engine.begin(task(steps))
    row = await engine.perform(run_id)
    assert (row["state"], [topic for topic, _ in engine.world.published]) == ("failed", ["line3/pump-1/cmd"])
    assert "refused: the plant's state does not allow it" in row["reason"]


async def test_a_denial_of_the_policy_comes_before_the_plant(engine: Engine) -> None:
    text = "policy: 1\nname: test\nlayer: box\nrules: [{id: no, topic: line3/#, decide: deny}]\n"
    await sync_to_async(apply)(text, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())
    await lock(Scope.BOX, "", Then.HOLD)
    await engine.load(task(PUBLISH))
    assert "(rule box/no)" in (await again(engine))["reason"]


@pytest.mark.django_db(transaction=True)
def test_at_read_only_nobody_locks_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(by: Principal) -> None:
        raise ReadOnlyNow("read only")

    monkeypatch.setattr(services, "refuse_changes", refuse)
    with pytest.raises(ReadOnlyNow):
        services.lock_out(Scope.BOX, "", "x", ANA, NOW)
