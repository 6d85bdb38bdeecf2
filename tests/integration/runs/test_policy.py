"""The policy decides every effect in both lanes, from the moment it is applied, and says which rule did."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE
from appliance.accounts.services import create_user
from appliance.actions.registry import registry
from appliance.runs import approvals
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.services import Word
from appliance.safety.models import Approval
from appliance.safety.policy.services import apply
from tests.integration.runs.conftest import Engine, task
from tests.integration.runs.reflex.conftest import MakeReactor, letter, reactor

__all__ = ["reactor"]

TWO = task("    - {id: one, type: mqtt, topic: out/one}\n    - {id: two, type: mqtt, topic: out/two}\n")
ECHO = """
- name: echo
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}]
  actions:
    - {id: one, type: mqtt, topic: out/one}
    - {id: two, type: mqtt, topic: out/two}
"""
NO_TWO = "rules: [{id: no-two, topic: out/two, decide: deny, reason: two is closed}]"
REFUSED = "refused: two is closed (rule box/no-two)"


async def put(engine: Engine, said: str, layer: str = "box") -> None:
    text = f"policy: 1\nname: test\nlayer: {layer}\n{said}\n"
    await sync_to_async(apply)(text, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())


def damage(change: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE safety_policyversion DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE safety_policyversion SET {change}")
        cursor.execute("ALTER TABLE safety_policyversion ENABLE TRIGGER USER")
        cursor.execute("UPDATE safety_allstop SET epoch = epoch + 1")


async def rows(engine: Engine, run_id: UUID) -> list[dict[str, Any]]:
    return await engine.sql(
        "SELECT step, state, error, detail FROM runs_step WHERE run_id = %s ORDER BY position", run_id
    )


async def audited(engine: Engine, kind: str, run_id: UUID) -> list[dict[str, Any]]:
    found = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = %s AND subject LIKE %s ORDER BY seq", kind, f"{run_id}/%"
    )
    return [json.loads(row["body"])["detail"] for row in found]


def topics(engine: Engine) -> list[str]:
    return [topic for topic, _ in engine.world.published]


async def test_a_denied_step_fails_with_its_rule_and_is_on_record(engine: Engine) -> None:
    await put(engine, NO_TWO)
    run_id = await engine.begin(TWO)
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert REFUSED in row["reason"]
    one, two = await rows(engine, run_id)
    assert (one["state"], one["detail"]["gate"]) == ("succeeded", "box/default@1")
    assert (two["state"], two["error"], two["detail"]["gate"]) == ("failed", REFUSED, "box/no-two@1")
    assert topics(engine) == ["out/one"]
    assert [entry["rule"] for entry in await audited(engine, "step.intent", run_id)] == ["box/default@1"]
    (refusal,) = await audited(engine, "step.refused", run_id)
    assert (refusal["rule"], refusal["arguments"]["topic"]) == ("box/no-two@1", "out/two")


async def test_the_reflex_lane_denies_with_the_same_rows_and_records(
    engine: Engine, reactor: MakeReactor
) -> None:
    await put(engine, NO_TWO)
    here = await reactor(ECHO)
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert (run["lane"], run["state"]) == ("reflex", "failed")
    one, two = await rows(engine, run["id"])
    assert (one["state"], one["detail"]["gate"]) == ("succeeded", "box/default@1")
    assert (two["state"], two["error"], two["detail"]["gate"]) == ("failed", REFUSED, "box/no-two@1")
    assert topics(engine) == ["out/one"]
    (refusal,) = await audited(engine, "step.refused", run["id"])
    assert refusal["rule"] == "box/no-two@1"


async def test_the_next_effect_is_decided_by_a_policy_applied_while_the_run_is_under_way(
    engine: Engine,
) -> None:
    async def apply_then(topic: str, payload: bytes) -> None:
        engine.world.publishing = None
        await put(engine, NO_TWO)

    engine.world.publishing = apply_then
    run_id = await engine.begin(TWO)
    assert REFUSED in (await engine.perform(run_id))["reason"]
    assert topics(engine) == ["out/one"]


async def test_the_reflex_lane_lets_nothing_out_by_a_policy_that_was_replaced(
    engine: Engine, reactor: MakeReactor
) -> None:
    """Before the reactor has read the new policy, it sees with its commit that there is one."""
    here = await reactor(ECHO)
    await put(engine, NO_TWO.replace("out/two", "out/#").replace("two is", "all is"))
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert (run["state"], topics(engine)) == ("queued", [])
    assert (await engine.perform(run["id"]))["state"] == "failed"
    assert topics(engine) == []
    await here.follow()
    await here.deliver(letter("in/b", {}))
    await here.settle()
    (last,) = await engine.sql("SELECT * FROM runs_run ORDER BY id DESC LIMIT 1")
    assert (last["lane"], last["state"], topics(engine)) == ("reflex", "failed", [])


@pytest.fixture
async def unreadable(engine: Engine) -> Engine:
    await put(engine, NO_TWO)
    await sync_to_async(damage)("text = text || ' '")
    return engine


async def test_everything_that_acts_is_held_while_the_policy_cannot_be_read(unreadable: Engine) -> None:
    engine = unreadable
    run_id = await engine.begin(
        task("    - {id: s, type: set, value: 1}\n    - {id: m, type: mqtt, topic: a}\n")
    )
    row = await engine.perform(run_id)
    assert (row["state"], row["waiting_for"]) == ("waiting", "policy")
    assert "the policy cannot be read" in row["reason"]
    assert topics(engine) == []
    await put(engine, "rules: [{id: x, topic: x, decide: deny}]")
    await engine.sql("UPDATE runs_run SET wake_at = now() - interval '1 second' WHERE id = %s", run_id)
    assert await engine.reconciler.wake_due()
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert topics(engine) == ["a"]


async def test_the_reflex_lane_holds_too(unreadable: Engine, reactor: MakeReactor) -> None:
    engine = unreadable
    here = await reactor(ECHO)
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert (run["state"], topics(engine)) == ("queued", [])
    assert (await engine.perform(run["id"]))["waiting_for"] == "policy"


async def test_a_declared_effect_opens_nothing(unreadable: Engine) -> None:
    """`effect: pure` says how a step may be repeated, not that it reaches nothing."""
    engine = unreadable
    run_id = await engine.begin(task("    - {id: s, type: shell, effect: pure, command: uptime}\n"))
    assert (await engine.perform(run_id))["waiting_for"] == "policy"
    assert engine.world.jobs == []


ASK_TWO = "rules: [{id: ask-two, topic: out/two, decide: ask, approvers: operator, expires: 5m, reason: two is dear}]"


async def approve(engine: Engine) -> None:
    """Olga says yes to what was asked last."""
    row = await Approval.objects.order_by("id").alast()
    assert row is not None
    by = await sync_to_async(lambda: User.objects.get(username="olga").principal)()
    word = Word(Choice.APPROVE, by, Way.WEB, engine.clock.now())
    await sync_to_async(approvals.decide)(str(row.pk), word)


async def test_a_rule_that_asks_waits_for_a_person_of_its_role(engine: Engine) -> None:
    await sync_to_async(make_operator)()
    await put(engine, ASK_TWO)
    run_id = await engine.begin(TWO)
    assert (await engine.perform(run_id))["waiting_for"] == "approval"
    assert topics(engine) == ["out/one"]
    row = await Approval.objects.aget()
    assert (row.approvers, row.rule, row.policy) == ("operator", "box/ask-two@1", "box@1")
    assert "two is dear" in row.reason
    assert row.expires_at == row.created_at + timedelta(minutes=5)
    await approve(engine)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert topics(engine) == ["out/one", "out/two"]


async def test_an_approval_is_void_under_another_policy(engine: Engine) -> None:
    await sync_to_async(make_operator)()
    await put(engine, ASK_TWO)
    run_id = await engine.begin(TWO)
    await engine.perform(run_id)
    await approve(engine)
    await put(engine, ASK_TWO.replace("5m", "6m"))
    assert (await engine.perform(run_id))["waiting_for"] == "approval"
    assert topics(engine) == ["out/one"]
    states = [row.state async for row in Approval.objects.order_by("id")]
    assert states == ["void", "open"]


def make_operator() -> None:
    create_user("olga", "quiet-lathe-4711", Role.OPERATOR, CONSOLE)


CALLS = """
- name: strong
  trigger: manual
  principal: admin
  actions: [{id: work, type: shell, args: [uptime]}]
- name: middle
  trigger: manual
  principal: admin
  actions: [{id: on, type: task, task: strong}]
- name: t
  trigger: manual
  principal: CEILING
  actions: [{id: call, type: task, task: middle}]
"""


async def end_of_chain(engine: Engine, ceiling: str) -> dict[str, Any]:
    """Perform t, what it calls, and what that calls; gives the last row."""
    await engine.load(CALLS.replace("CEILING", ceiling))
    run_id = await engine.start("t")
    row = await engine.perform(run_id)
    for _ in range(2):
        children = await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", row["id"])
        row = await engine.perform(children[0]["id"])
    return row


async def test_a_called_run_may_do_no_more_than_its_caller_however_far_down(engine: Engine) -> None:
    """Both called tasks say admin; the first caller is only an operator, and an engineer is needed."""
    await put(engine, "rules: [{id: engineers, kinds: shell, role: operator, decide: deny, reason: no}]")
    row = await end_of_chain(engine, "operator")
    assert "refused: no (rule box/engineers)" in row["reason"]
    assert row["inputs"]["ceiling"] == "operator"
    assert engine.world.jobs == []


async def test_a_caller_with_the_role_hands_it_down(engine: Engine) -> None:
    await put(engine, "rules: [{id: engineers, kinds: shell, role: operator, decide: deny, reason: no}]")
    assert (await end_of_chain(engine, "engineer"))["state"] == "succeeded"
    assert len(engine.world.jobs) == 1


async def test_shards_keep_the_ceiling_of_their_run(engine: Engine) -> None:
    await put(engine, "rules: [{id: engineers, kinds: shell, role: operator, decide: deny, reason: no}]")
    await engine.load(
        CALLS.replace("CEILING", "operator").replace(
            "actions: [{id: work, type: shell, args: [uptime]}]",
            "actions: [{id: all, type: foreach, items: [1], actions: [{id: w, type: shell, args: [uptime]}]}]",
        )
    )
    row = await engine.perform(await engine.start("t"))
    for _ in range(2):
        children = await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", row["id"])
        row = await engine.perform(children[0]["id"])
    shards = await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", row["id"])
    assert "refused: no" in (await engine.perform(shards[0]["id"]))["reason"]
    assert engine.world.jobs == []
