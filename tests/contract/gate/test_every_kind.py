"""No registered kind of action reaches the world around the gate: with one that denies, nothing is performed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, CONSOLE, Principal
from appliance.actions.contract import ActionKind, Kind, StepResult
from appliance.actions.registry import registry, written_kinds
from appliance.agent.models import McpServer, McpTool
from appliance.runs.shards.splitter import Splitter
from appliance.safety.plant_state.domain import Scope
from appliance.safety.plant_state.services import lock_out
from appliance.safety.policy.loading import digest_of
from appliance.safety.policy.services import apply
from appliance.safety.policy.vocabulary import INSIDE
from appliance.safety.secrets import set_secret
from tests.integration.runs.conftest import Engine, task
from tests.integration.runs.reflex.conftest import MakeReactor, letter

STEPS = {
    "agent": "goal: Is it hot?, tools: [mqtt]",
    "approval": "question: Sure?, self_approval: true",
    "container": f"image: 'sha256:{'0' * 64}', args: [touch, /tmp/x]",
    "foreach": "items: [1], actions: [{id: inner, type: mqtt, topic: inner}]",
    "http": "url: https://example.com/, method: POST",
    "llm": "prompt: Is it hot?",
    "mcp_call": "server: store, tool: order",
    "mqtt": "topic: out",
    "notification": "platform: loopback, message: hello",
    "parallel": "branches: {a: [{id: inner, type: mqtt, topic: inner}]}",
    "set": "value: 1",
    "shell": "command: touch /tmp/x",
    "sql": 'database: db, query: "DELETE FROM t", write: true',
    "task": "task: other",
    "wait": "duration: 1s",
}
"""A step of each kind, one that changes something where the kind can."""
OTHER = "- name: other\n  trigger: manual\n  actions: [{id: o, type: mqtt, topic: other}]\n"
NOTHING = "policy: 1\nname: nothing\nlayer: box\ndefault: deny\n"
"""No service takes this: it locks everybody out."""


def test_every_registered_kind_is_walked_here() -> None:
    assert STEPS.keys() == written_kinds().keys(), "a new kind needs a step here"
    inside = registry().keys() - written_kinds().keys()
    assert inside <= INSIDE, "what nobody writes reaches nothing outside of its run"


@pytest.fixture
def performed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds that were performed; nothing is done."""
    done: list[str] = []

    def instead(name: str) -> Callable[..., Any]:
        async def perform(*arguments: Any, **named: Any) -> StepResult:
            done.append(name)
            return StepResult.ok()

        return perform

    for name, kind in registry().items():
        if isinstance(kind, ActionKind):
            monkeypatch.setattr(type(kind), "perform", instead(name))
    monkeypatch.setattr(Splitter, "perform", instead("split"))
    return done


def deny_all() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH v AS (INSERT INTO safety_policyversion (layer, number, name, text, digest, author, created_at) "
            "VALUES ('box', 1, 'nothing', %s, %s, 'test', now()) RETURNING id) "
            "INSERT INTO safety_policy (layer, version_id, since, by) SELECT 'box', id, now(), 'test' FROM v",
            [NOTHING, digest_of(NOTHING)],
        )


def step(kind: str) -> str:
    return task(f"    - {{id: s, type: {kind}, {STEPS[kind]}}}\n", principal="admin")


def allow_a_tool(now: datetime) -> None:
    """Else a step that calls it has no arguments to decide on."""
    server, _ = McpServer.objects.get_or_create(
        name="store", url="https://192.0.2.1/mcp", defaults={"updated_at": now, "updated_by": "test"}
    )
    allowed = {"digest": "d", "allowed_digest": "d", "risk": "change", "seen_at": now}
    McpTool.objects.get_or_create(server=server, name="order", defaults=allowed)


async def state_of(engine: Engine, kind: str) -> str:
    await engine.load(OTHER)
    await sync_to_async(allow_a_tool)(engine.clock.now())
    await sync_to_async(set_secret)("db", "postgresql://nobody@127.0.0.1:9/nothing", BOX, engine.clock.now())
    run_id = await engine.begin(step(kind))
    await engine.perform(run_id)
    (row,) = await engine.sql("SELECT state, error FROM runs_step WHERE run_id = %s", run_id)
    return f"{row['state']}: {row['error']}"


@pytest.mark.parametrize("kind", sorted(STEPS))
async def test_with_a_gate_that_denies_no_kind_is_performed(
    engine: Engine, performed: list[str], kind: str
) -> None:
    engine.denied_kinds = frozenset(registry())
    assert (await state_of(engine, kind)).startswith("failed: refused: ")
    assert performed == []


@pytest.mark.parametrize("kind", sorted(set(STEPS) - INSIDE))
async def test_with_a_policy_that_denies_no_kind_that_reaches_something_is_performed(
    engine: Engine, performed: list[str], kind: str
) -> None:
    await sync_to_async(deny_all)()
    assert (await state_of(engine, kind)).endswith("(rule box/default)")
    assert performed == []


ACTING = sorted(set(STEPS) - INSIDE - {"agent", "approval", "llm"})
"""Kinds that reach something; a question to people, or to a model, changes nothing that is locked out or paid for. What
an agent calls is of these kinds."""


@pytest.mark.parametrize("kind", ACTING)
async def test_what_is_locked_out_is_reached_by_no_kind(
    engine: Engine, performed: list[str], kind: str
) -> None:
    who = Principal("user:ana", Role.OPERATOR)
    await sync_to_async(lock_out)(Scope.BOX, "", "hands inside", who, engine.clock.now())
    assert "is locked out by user:ana" in await state_of(engine, kind)
    assert performed == []


@pytest.mark.parametrize("kind", ACTING)
async def test_what_is_beyond_a_budget_is_done_by_no_kind(
    engine: Engine, performed: list[str], kind: str
) -> None:
    text = "policy: 1\nname: t\nlayer: box\nbudgets: [{id: one, effects: 1, then: deny}]\n"
    await sync_to_async(apply)(text, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())
    await state_of(engine, kind)
    assert performed == [kind]
    assert "the budget of 1 effects per 1h is used up" in await state_of(engine, kind)
    assert performed == [kind]


@pytest.mark.parametrize("kind", sorted(STEPS))
async def test_the_same_step_is_performed_where_the_gate_allows_it(
    engine: Engine, performed: list[str], kind: str
) -> None:
    """The other half of the proof: what the tests above saw nothing of does happen otherwise."""
    await state_of(engine, kind)
    assert performed == ["split" if kind in ("agent", "foreach", "parallel") else kind]


async def test_lines_of_a_file_are_read_by_no_step_where_the_gate_denies_commands(engine: Engine) -> None:
    """``foreach`` itself reaches nothing; what it reads passes the gate as the command that reads it."""
    engine.denied_kinds = frozenset({"shell"})
    run_id = await engine.begin(
        task("    - {id: s, type: foreach, lines: /etc/hostname, actions: [{type: set, value: 1}]}\n")
    )
    row = await engine.perform(run_id)
    assert (row["state"], engine.world.jobs) == ("failed", [])
    assert "actions of kind shell are switched off" in row["reason"]


def instant() -> list[str]:
    def is_instant(kind: Kind) -> bool:
        return kind.instant

    return sorted(name for name, kind in registry().items() if is_instant(kind) and name != "wait")


@pytest.mark.parametrize("denies", [True, False])
@pytest.mark.parametrize("kind", instant())
async def test_the_reflex_lane_performs_nothing_that_the_gate_denies(
    engine: Engine, reactor: MakeReactor, performed: list[str], kind: str, denies: bool
) -> None:
    engine.denied_kinds = frozenset(registry()) if denies else frozenset()
    here = await reactor(
        f'- name: t\n  triggers: [{{id: m, mqtt: {{topic: "in/#", payload: json}}}}]\n'
        f"  actions: [{{id: s, type: {kind}, {STEPS[kind]}}}]\n"
    )
    await here.deliver(letter("in/a", {}))
    await here.settle()
    run = await here.only_run()
    assert run["lane"] == "reflex"
    assert (run["state"] == "failed") is denies
    assert performed == ([] if denies else [kind])
