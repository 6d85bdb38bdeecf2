"""A rule about what starts runs holds for all that such a run leads to, and for what a token or a command starts."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command

from appliance.accounts.domain import Role
from appliance.accounts.mqtt import grant
from appliance.accounts.principal import CONSOLE, Principal
from appliance.accounts.services import create_user
from appliance.events import AuditAlert
from appliance.events.services import record_async
from appliance.processes.box_commands import Command, answer
from appliance.runs import ended, services
from appliance.runs.ended import Resume
from appliance.runs.intake import Intake
from appliance.runs.taking_back import undo
from appliance.tasks.arming import load_table
from appliance.tasks.services import set_enabled
from tests.integration.runs.conftest import Engine, task
from tests.integration.runs.test_following import Screens, follower
from tests.integration.runs.test_intake import letter
from tests.integration.runs.test_policy import put

WORK = "{id: work, type: shell, args: [uptime]}"
HEARD = """
- name: heard
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}, manual]
  actions: [ACTIONS]
"""
NOT_FROM_OUTSIDE = "rules: [{id: inside, kinds: shell, origin: mqtt, decide: deny, reason: not from outside}]"
REFUSED = "refused: not from outside (rule box/inside)"
Led = Callable[[Engine, UUID], Awaitable[dict[str, Any]]]


def heard(actions: str, *others: str) -> str:
    return HEARD.replace("ACTIONS", actions) + "".join(others)


def other(name: str, actions: str, trigger: str = "manual") -> str:
    return f"- {{name: {name}, trigger: {trigger}, actions: [{actions}]}}\n"


async def intake(engine: Engine) -> Intake:
    made = Intake(engine.pool, engine.clock, lambda run_ids: None)
    made.table = await sync_to_async(load_table)()
    return made


async def by_message(engine: Engine) -> UUID:
    """The run of a message."""
    await (await intake(engine)).deliver([letter("in/a", 1)])
    (row,) = await engine.sql("SELECT id FROM runs_run WHERE origin = 'mqtt'")
    found = row["id"]
    assert isinstance(found, UUID)
    return found


async def by_hand(engine: Engine) -> UUID:
    return await engine.start("heard", {"topic": "in/a", "payload": 1})


async def last(engine: Engine) -> dict[str, Any]:
    """Perform the newest run."""
    (row,) = await engine.sql("SELECT id FROM runs_run ORDER BY created_at DESC, id DESC LIMIT 1")
    return await engine.perform(row["id"])


async def called(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """Perform the run and what it calls, and what that calls."""
    row = await engine.perform(run_id)
    while children := await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", row["id"]):
        row = await engine.perform(children[0]["id"])
    return row


async def let_go(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """Perform the run, and the one that it has started without waiting for it."""
    await engine.perform(run_id)
    return await last(engine)


async def followed(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """Perform the run, and what its end starts."""
    following = await follower(engine, Screens())
    await engine.perform(run_id)
    await following.follow()
    return await last(engine)


async def alerted(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """Perform the run, and what an alert about it starts."""
    following = await follower(engine, Screens())
    await engine.perform(run_id)
    async with engine.pool.connection() as connection:
        await record_async(connection, AuditAlert("run.undeclared", "it did more", run_id=str(run_id)))
    await following.follow()
    return await last(engine)


async def followed_late(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """As above, by a trigger that first waits for quiet."""
    following = await follower(engine, Screens())
    await engine.perform(run_id)
    await following.follow()
    await engine.sql(
        "UPDATE tasks_hold SET since = since - interval '1 hour', due_at = due_at - interval '1 hour'"
    )
    assert len(await (await intake(engine)).holds_due()) == 1
    return await last(engine)


async def again(engine: Engine, run_id: UUID) -> dict[str, Any]:
    await engine.perform(run_id)
    return await engine.perform(
        await sync_to_async(services.start_again)(run_id, CONSOLE, engine.clock.now())
    )


async def gone_on(engine: Engine, run_id: UUID) -> dict[str, Any]:
    """A person goes on from its step."""
    await engine.perform(run_id)
    engine.world.jobs.clear()
    wanted = Resume("work", repeat_unsafe=True)
    return await engine.perform(await sync_to_async(ended.resume)(run_id, CONSOLE, wanted))


CALL, DEEPER = (f"{{id: call, type: task, task: {name}}}" for name in ("work", "middle"))
LET_GO = "{id: call, type: task, task: work, wait: false}"
SHARDS = f"{{id: all, type: foreach, items: [1], actions: [{WORK}]}}"
SET = "{type: set, value: 1}"
QUIET = "{id: q, task: heard, debounce: 5m}"
WAYS: dict[str, tuple[str, Led]] = {
    "a call": (heard(CALL, other("work", WORK)), called),
    "a call by one that was called": (heard(DEEPER, other("middle", CALL), other("work", WORK)), called),
    "a call that nobody waits for": (heard(LET_GO, other("work", WORK)), let_go),
    "shards of what was called": (heard(CALL, other("work", SHARDS)), called),
    "a call of a shard": (heard(SHARDS.replace(WORK, CALL), other("work", WORK)), called),
    "its end": (heard(SET, other("work", WORK, "task heard")), followed),
    "its end, later": (heard(SET, other("work", WORK, QUIET)), followed_late),
    "an event of it": (heard(SET, other("work", WORK, "event run.succeeded")), followed),
    "an alert about it": (heard(SET, other("work", WORK, "event audit.alert")), alerted),
    "the same run again": (heard(WORK), again),
    "going on with it": (heard(WORK), gone_on),
}


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_message_leads_to_is_judged_as_the_message(engine: Engine, way: str) -> None:
    text, led = WAYS[way]
    await put(engine, NOT_FROM_OUTSIDE)
    await engine.load(text)
    row = await led(engine, await by_message(engine))
    assert row["origin"] != "mqtt" or row["split_id"]
    assert REFUSED in row["reason"]
    assert engine.world.jobs == []


@pytest.mark.parametrize("way", ["a call", "its end, later", "going on with it"])
async def test_what_a_person_leads_to_is_not(engine: Engine, way: str) -> None:
    text, led = WAYS[way]
    await put(engine, NOT_FROM_OUTSIDE)
    await engine.load(text)
    assert (await led(engine, await by_hand(engine)))["state"] == "succeeded"
    assert engine.world.jobs


async def test_a_layer_that_allows_the_later_origin_opens_nothing(engine: Engine) -> None:
    """The first rule takes calls; the run is judged as a message too, and so is what answers without a rule."""
    await engine.load(WAYS["a call"][0])
    await put(
        engine,
        "default: {mqtt: deny, otherwise: allow}\nrules: [{id: call, kinds: task, decide: allow},"
        " {id: calls, origin: task, decide: allow}]",
    )
    row = await called(engine, await by_message(engine))
    assert "(rule box/default)" in row["reason"]
    assert engine.world.jobs == []


# --- tokens and commands ------------------------------------------------------------------------------------

TASK = task(f"    - {WORK}\n")


def rule(origin: str) -> str:
    return f"rules: [{{id: closed, kinds: shell, origin: {origin}, decide: deny}}]"


async def by_token(engine: Engine) -> UUID:
    by = Principal("token:ana/ci", Role.OPERATOR)
    return await sync_to_async(services.start_task)("t", by, engine.clock.now())


async def by_command(engine: Engine) -> UUID:
    await sync_to_async(grant)("press", Role.OPERATOR, CONSOLE, engine.clock.now())
    command = Command("run", "press", b'{"task": "t"}')
    answered = await sync_to_async(answer)(command, engine.clock.now(), "1")
    assert answered.run_id is not None, answered.reply
    return answered.run_id


def make_ana() -> None:
    create_user("ana", "quiet-lathe-4711", Role.OPERATOR, CONSOLE)


@pytest.mark.parametrize(
    ("start", "own", "others"),
    [(by_token, "api", ["mqtt", "chat"]), (by_command, "mqtt", ["api", "webhook"])],
)
async def test_a_program_is_judged_by_its_way_and_as_a_person(
    engine: Engine, start: Callable[[Engine], Awaitable[UUID]], own: str, others: list[str]
) -> None:
    await sync_to_async(make_ana)()
    await engine.load(TASK)
    for origin in (own, "manual"):
        await put(engine, rule(origin))
        row = await engine.perform(await start(engine))
        assert (row["origin"], row["state"]) == (own, "failed"), origin
        assert "(rule box/closed)" in row["reason"]
    assert engine.world.jobs == []
    await put(engine, rule(f"[{', '.join(others)}]"))
    assert (await engine.perform(await start(engine)))["state"] == "succeeded"


async def test_a_person_is_judged_as_a_person_alone(engine: Engine) -> None:
    await put(engine, rule("[api, mqtt, chat]"))
    row = await engine.perform(await engine.begin(TASK))
    assert (row["state"], row["inputs"]) == ("succeeded", {})


async def test_the_record_says_what_a_token_started_and_what_that_counts_as(engine: Engine) -> None:
    await engine.load(TASK)
    await by_token(engine)
    (row,) = await engine.sql(
        "SELECT body::json -> 'detail' AS said FROM audit_record WHERE kind = 'run.started' ORDER BY seq DESC LIMIT 1"
    )
    assert row["said"] == {"origin": "api", "also": ["manual"], "task": "t"}


async def test_what_is_switched_off_is_started_by_a_persons_hand_alone(engine: Engine) -> None:
    await engine.load(TASK)
    old = await engine.start("t")
    await engine.perform(old)
    await sync_to_async(set_enabled)("t", False, CONSOLE, engine.clock.now())
    token, now = Principal("token:ana/ci", Role.OPERATOR), engine.clock.now()
    for refused in (
        lambda: services.start_task("t", token, now),
        lambda: services.start_task("t", Principal("mqtt:press", Role.OPERATOR), now),
        lambda: services.start_task("t", CONSOLE, now, origin="chat"),
        lambda: services.start_again(old, token, now),
        lambda: ended.resume(old, token, Resume("work", repeat_unsafe=True)),
    ):
        with pytest.raises(services.NotNow, match="is switched off"):
            await sync_to_async(refused)()
    assert await engine.count("runs_run") == 1
    for allowed in (
        lambda: services.start_task("t", Principal("user:ana", Role.OPERATOR), now),
        lambda: services.start_again(old, CONSOLE, now),
    ):
        await sync_to_async(allowed)()
    assert await engine.count("runs_run") == 3


async def test_an_undo_is_judged_by_how_it_was_asked_for_too(engine: Engine) -> None:
    await sync_to_async(make_ana)()
    step = "    - {id: make, type: set, value: 1, undo: {type: shell, args: [rm]}}\n"
    for origin, by, state in (
        ("api", Principal("token:ana/ci", Role.OPERATOR), "failed"),
        ("api", Principal("user:ana", Role.OPERATOR), "undone"),
    ):
        await put(engine, rule(origin))
        run_id = await engine.begin(task(step))
        await engine.perform(run_id)
        await sync_to_async(undo)(run_id, by)
        assert (await engine.perform(run_id))["state"] == state
    assert engine.world.jobs == [("rm",)]


async def test_explaining_names_every_origin_and_the_one_that_decided(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(engine, NOT_FROM_OUTSIDE)
    await engine.load(WAYS["a call"][0])
    row = await called(engine, await by_message(engine))
    await sync_to_async(call_command)("policy", "explain", f"{row['id']}/work")
    said = capsys.readouterr().out
    assert "started by task" in said
    assert "judged as task, mqtt: the strictest of their answers counts" in said
    assert "deny by box/inside: not from outside" in said
    assert "box (version 1), as task: allow by default" in said
    assert "nearly: inside (deny): origin is task, the rule wants mqtt" in said
    assert "box (version 1), as mqtt: deny by inside" in said
