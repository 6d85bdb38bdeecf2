"""What the gate says of an agent's calls and turns: whose word is asked for, and what budgets of tokens are to have."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.accounts.domain import Role
from appliance.safety.gate import Action, Decision, Gate, Verdict
from appliance.safety.plant_state.keeper import RestraintKeeper
from appliance.safety.policy.keeper import PolicyKeeper, policy_of
from appliance.safety.policy.loading import digest_of
from appliance.safety.stop import AllStop, Level

CALL = Action(
    "mqtt",
    "idempotent",
    {"topic": "lamp"},
    "user:anna",
    "operator",
    origin="chat",
    also=("agent",),
    task="t",
    proposed="an agent proposes this",
    risk="change",
    outside=False,
)


def decided(home: Path, action: Action, *texts: str) -> Verdict:
    rows = [
        ("site" if "layer: site" in text else "box", number, text, digest_of(text))
        for number, text in enumerate(texts, 1)
    ]
    gate = Gate(home, keeper=PolicyKeeper(policy_of(rows), epoch=1), restraints=RestraintKeeper(epoch=1))
    return gate.decide(action, AllStop(), Role.ENGINEER)


def policy(more: str = "", layer: str = "box") -> str:
    return f"policy: 1\nname: {layer}\nlayer: {layer}\ndefault: allow\n{more}"


@pytest.mark.parametrize(
    ("action", "theirs"),
    [
        (CALL, True),
        (replace(CALL, proposed=""), None),
        (replace(CALL, principal="token:anna/ci"), False),
        (replace(CALL, principal="trigger:t/hot"), False),
        (replace(CALL, risk="destroy"), False),
        (replace(CALL, risk=""), False),
        (replace(CALL, origin="agent", also=()), False),
        (replace(CALL, outside=True), True),
    ],
)
def test_a_proposal_is_for_who_asked_where_they_might_do_it_themselves(
    tmp_path: Path, action: Action, theirs: bool | None
) -> None:
    verdict = decided(tmp_path, action, policy())
    if theirs is None:
        assert verdict.outcome is Decision.ALLOW
    else:
        assert (verdict.outcome, verdict.terms.self_approval) == (Decision.ASK, theirs)


ASKS = "rules: [{id: ask, topic: lamp, decide: ask}]"


@pytest.mark.parametrize(
    ("texts", "theirs"),
    [
        ([policy("own_agent: never")], False),
        ([policy(), policy("own_agent: never", "site")], False),
        ([policy("own_agent: destroy"), policy(layer="site")], True),
        ([policy(ASKS)], False),
        ([policy(), policy(ASKS, "site")], False),
        ([policy("rules: [{id: ask, origin: agent, decide: ask}]")], True),
    ],
)
def test_the_strictest_layer_says_whether_and_a_rule_that_asks_of_all_asks_of_them(
    tmp_path: Path, texts: list[str], theirs: bool
) -> None:
    verdict = decided(tmp_path, CALL, *texts)
    assert (verdict.outcome, verdict.terms.self_approval) == (Decision.ASK, theirs)


@pytest.mark.parametrize(
    ("word", "outside", "theirs"),
    [("change", False, False), ("destroy", False, True), ("destroy", True, False), ("never", False, False)],
)
def test_what_destroys_is_theirs_only_where_that_is_written_and_nothing_came_from_outside(
    tmp_path: Path, word: str, outside: bool, theirs: bool
) -> None:
    action = replace(CALL, risk="destroy", outside=outside)
    assert decided(tmp_path, action, policy(f"own_agent: {word}")).terms.self_approval is theirs


@pytest.mark.parametrize("kind", ["agent_turn", "llm"])
@pytest.mark.parametrize(("level", "holds"), [(Level.FREEZE, False), (Level.KILL, True), (Level.CUT, True)])
def test_while_no_model_is_given_to_anybody_nobody_asks_for_one(
    tmp_path: Path, kind: str, level: Level, holds: bool
) -> None:
    action = Action(kind, "pure", {}, "user:anna", origin="manual", task="t", acts=False)
    gate = Gate(tmp_path, keeper=PolicyKeeper(policy_of([]), epoch=1), restraints=RestraintKeeper(epoch=1))
    verdict = gate.decide(action, AllStop(1, level), Role.ENGINEER)
    assert (verdict.outcome is Decision.HOLD) is holds


BUDGETS = """
budgets:
  - {id: day, kinds: [agent, llm], tokens: 1000, per: 1d}
  - {id: effects, effects: 5}
  - {id: other, kinds: [llm], tokens: 500}
"""


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("agent_turn", ["budget.box/day"]),
        ("llm", ["budget.box/day", "budget.box/other"]),
        ("agent_query", []),
        ("set", []),
    ],
)
def test_who_asks_a_model_needs_room_in_every_budget_of_tokens(
    tmp_path: Path, kind: str, rules: list[str]
) -> None:
    action = Action(kind, "pure", {}, "user:anna", origin="manual", task="t", acts=False)
    verdict = decided(tmp_path, action, policy(BUDGETS))
    assert verdict.outcome is Decision.ALLOW
    assert [(one.rule, one.amount) for one in verdict.charges] == [(rule, 0) for rule in rules]
