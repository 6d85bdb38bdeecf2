from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.domain import Role
from appliance.lib.jsontypes import JsonMapping
from appliance.safety.gate import Action, Decision, Gate
from appliance.safety.plant_state.keeper import RestraintKeeper
from appliance.safety.policy.decision import BUILT_IN, Policy
from appliance.safety.policy.keeper import PolicyKeeper, policy_of
from appliance.safety.policy.loading import digest_of
from appliance.safety.stop import AllStop, Level, StopFile

CALM = AllStop()
DENIES_MQTT = """
policy: 1
name: quiet
layer: box
rules: [{id: silent, decide: deny, kinds: [mqtt], reason: be quiet}]
"""
DENIES_ONE_TOPIC = """
policy: 1
name: quiet
layer: box
rules: [{id: silent, decide: deny, topic: [a], reason: be quiet}]
"""


def gate_of(home: Path, denied_kinds: frozenset[str] = frozenset()) -> Gate:
    """A gate that has read the policy of a box on which nobody wrote one."""
    return Gate(
        home,
        denied_kinds,
        keeper=PolicyKeeper(Policy([BUILT_IN]), epoch=10),
        restraints=RestraintKeeper(epoch=10),
    )


def action(
    kind: str = "mqtt",
    effect: str = "idempotent",
    arguments: JsonMapping | None = None,
    principal: str = "trigger:t/hot",
    ceiling: str = "operator",
    *,
    acts: bool = True,
) -> Action:
    return Action(kind, effect, arguments or {}, principal, ceiling, acts=acts)


DENIES_AGENTS = """
policy: 1
name: quiet
layer: box
default: allow
rules: [{id: no-agents, decide: deny, origin: agent}]
"""


def test_a_verdict_that_is_kept_is_not_that_of_a_run_which_others_led_to(tmp_path: Path) -> None:
    """Both are calls of one task, and nothing but the origin has a say: the answer of one is kept."""
    keeper = PolicyKeeper(policy_of([("box", 3, DENIES_AGENTS, digest_of(DENIES_AGENTS))]), epoch=10)
    gate = Gate(tmp_path, keeper=keeper, restraints=RestraintKeeper(epoch=10))
    plain = replace(action(), origin="task", task="t")
    for _ in range(2):
        assert gate.decide(plain, CALM, None).outcome is Decision.ALLOW
        led = gate.decide(replace(plain, also=("agent",)), CALM, None)
        assert (led.outcome, led.rule) == (Decision.DENY, "box/no-agents@3")


def test_an_ordinary_effect_of_an_operators_task_is_allowed(tmp_path: Path) -> None:
    verdict = gate_of(tmp_path).decide(action(), AllStop(epoch=4), None)
    assert (verdict.outcome, verdict.rule, verdict.epoch) == (Decision.ALLOW, "box/default@0", 4)


@pytest.mark.parametrize("level", [level for level in Level if level is not Level.NONE])
def test_a_stop_holds_every_effect(tmp_path: Path, level: Level) -> None:
    verdict = gate_of(tmp_path).decide(action(), AllStop(9, level, None, "user:ana", "fire"), None)
    assert (verdict.outcome, verdict.rule) == (Decision.HOLD, f"allstop.{level}")
    assert "user:ana" in verdict.reason
    assert "fire" in verdict.reason


def test_steps_without_effect_go_on_until_read_only(tmp_path: Path) -> None:
    gate, pure = gate_of(tmp_path), action("set", "pure", acts=False)
    assert gate.decide(pure, AllStop(level=Level.CUT), None).outcome is Decision.ALLOW
    assert gate.decide(pure, AllStop(level=Level.READ_ONLY), None).outcome is Decision.HOLD


@pytest.mark.parametrize("kind", ["container", "mqtt", "shell"])
def test_how_a_step_may_be_repeated_opens_nothing(tmp_path: Path, kind: str) -> None:
    gate = gate_of(tmp_path)
    engineer, viewer = (action(kind, "pure", ceiling=ceiling) for ceiling in ("engineer", "viewer"))
    assert gate.decide(engineer, CALM, None).outcome is Decision.ALLOW
    assert gate.decide(engineer, AllStop(level=Level.KILL), None).rule == "allstop.kill"
    assert gate.decide(viewer, CALM, None).rule == "role.ceiling"


def test_a_viewer_may_ask_a_database_and_run_no_image(tmp_path: Path) -> None:
    gate = gate_of(tmp_path)
    query, image = (action(kind, "pure", ceiling="viewer", acts=False) for kind in ("sql", "container"))
    assert gate.decide(query, CALM, None).outcome is Decision.ALLOW
    assert gate.decide(image, CALM, None).rule == "role.ceiling"


@pytest.mark.parametrize("kind", ["container", "shell"])
def test_from_kill_on_no_command_is_begun_not_even_to_look(tmp_path: Path, kind: str) -> None:
    gate, looks = gate_of(tmp_path), action(kind, "pure", ceiling="engineer", acts=False)
    assert gate.decide(looks, AllStop(level=Level.FREEZE), None).outcome is Decision.ALLOW
    assert gate.decide(looks, AllStop(level=Level.KILL), None).outcome is Decision.HOLD


def test_from_cut_on_nothing_reaches_out_not_even_to_look(tmp_path: Path) -> None:
    gate, query = gate_of(tmp_path), action("sql", "pure", ceiling="viewer", acts=False)
    assert gate.decide(query, AllStop(level=Level.KILL), None).outcome is Decision.ALLOW
    assert gate.decide(query, AllStop(level=Level.CUT), None).outcome is Decision.HOLD


def test_the_file_alone_stops(tmp_path: Path) -> None:
    (tmp_path / "ALLSTOP").touch()
    assert gate_of(tmp_path).decide(action(), CALM, None).outcome is Decision.HOLD
    (tmp_path / "ALLSTOP").unlink()
    assert gate_of(tmp_path).decide(action(), CALM, None).outcome is Decision.ALLOW


def test_a_refused_kind_is_denied(tmp_path: Path) -> None:
    verdict = gate_of(tmp_path, frozenset({"shell"})).decide(action("shell", "unsafe"), CALM, None)
    assert (verdict.outcome, verdict.rule) == (Decision.DENY, "kind.denied")


@pytest.mark.parametrize(
    ("principal", "ceiling", "role", "outcome"),
    [
        ("user:ana", "operator", Role.ADMIN, Decision.ALLOW),
        ("user:ana", "admin", Role.VIEWER, Decision.DENY),
        ("user:ana", "viewer", Role.ADMIN, Decision.DENY),
        ("user:gone", "operator", None, Decision.DENY),
        ("token:gone/ci", "operator", None, Decision.DENY),
        ("token:ana/ci", "operator", Role.OPERATOR, Decision.ALLOW),
        ("trigger:t/hot", "viewer", None, Decision.DENY),
        ("trigger:t/hot", "king", None, Decision.DENY),
    ],
)
def test_neither_person_nor_task_passes_its_ceiling(
    tmp_path: Path, principal: str, ceiling: str, role: Role | None, outcome: Decision
) -> None:
    verdict = gate_of(tmp_path).decide(action(principal=principal, ceiling=ceiling), CALM, role)
    assert verdict.outcome is outcome


def test_a_container_needs_an_engineer(tmp_path: Path) -> None:
    gate = gate_of(tmp_path)
    assert gate.decide(action("container", "unsafe"), CALM, None).rule == "role.ceiling"
    assert gate.decide(action("container", "unsafe", ceiling="engineer"), CALM, None).outcome == "allow"


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": "rm -rf /"},
        {"command": {"script": "rm -rf /", "arguments": ["x"]}},
        {"args": ["rm", "-rf", "/"]},
        {"args": ["/bin/sh", "-c", "uptime; rm -rf /"]},
    ],
)
def test_a_ruinous_command_is_denied_in_every_form(tmp_path: Path, arguments: JsonMapping) -> None:
    verdict = gate_of(tmp_path).decide(action("shell", "unsafe", arguments, ceiling="admin"), CALM, None)
    assert (verdict.outcome, verdict.rule) == (Decision.DENY, "pattern.rm-root")


def test_values_handed_to_a_command_are_data(tmp_path: Path) -> None:
    arguments: JsonMapping = {"command": {"script": 'logger "$1"', "arguments": ["rm -rf /" * 9000]}}
    assert (
        gate_of(tmp_path).decide(action("shell", "unsafe", arguments), CALM, None).outcome is Decision.ALLOW
    )


def test_the_same_words_in_a_message_are_only_words(tmp_path: Path) -> None:
    said = action("notification", "keyed", {"message": "never run rm -rf /"})
    assert gate_of(tmp_path).decide(said, CALM, None).outcome is Decision.ALLOW


def written(text: str) -> Policy:
    return policy_of([("box", 1, text, digest_of(text))])


def test_what_was_allowed_once_is_decided_anew_when_anything_changes(tmp_path: Path) -> None:
    keeper = PolicyKeeper(Policy([BUILT_IN]), epoch=4)
    gate, calm = Gate(tmp_path, keeper=keeper, restraints=RestraintKeeper(epoch=4)), AllStop(epoch=4)

    def outcome(stop: AllStop = calm, **more: Any) -> Decision:
        return gate.decide(action(**more), stop, None).outcome

    assert (outcome(), outcome()) == (Decision.ALLOW, Decision.ALLOW)
    assert outcome(AllStop(4, Level.FREEZE)) is Decision.HOLD
    assert outcome(AllStop(epoch=5)) is Decision.HOLD, "the policy may be another by now"
    assert outcome(ceiling="viewer") is Decision.DENY
    assert outcome(kind="http") is Decision.ALLOW
    assert gate.decide(action(principal="user:ana"), calm, Role.OPERATOR).outcome is Decision.ALLOW
    assert gate.decide(action(principal="user:ana"), calm, Role.VIEWER).outcome is Decision.DENY
    StopFile(tmp_path).write(Level.FREEZE, "ana", "")
    assert outcome() is Decision.HOLD
    StopFile(tmp_path).remove()
    assert outcome() is Decision.ALLOW
    keeper.policy = written(DENIES_MQTT)
    assert outcome() is Decision.DENY
    keeper.policy = written(DENIES_ONE_TOPIC)
    assert outcome(arguments={"topic": "a"}) is Decision.DENY
    assert outcome(arguments={"topic": "b"}) is Decision.ALLOW


def test_what_acts_waits_until_lock_outs_and_windows_are_read_again_too(tmp_path: Path) -> None:
    restraints = RestraintKeeper(epoch=5)
    gate = Gate(tmp_path, keeper=PolicyKeeper(Policy([BUILT_IN]), epoch=6), restraints=restraints)
    verdict = gate.decide(action(), AllStop(epoch=6), None)
    assert (verdict.outcome, verdict.waits_for_policy) == (Decision.HOLD, True)
    restraints.epoch = 6
    assert gate.decide(action(), AllStop(epoch=6), None).outcome is Decision.ALLOW


def test_an_intent_stands_only_while_the_switch_does(tmp_path: Path) -> None:
    gate, then = gate_of(tmp_path), AllStop(epoch=4)
    assert gate.holds_still(then, AllStop(epoch=4))
    assert not gate.holds_still(then, AllStop(epoch=5)), "a policy that is applied moves the switch on"
    assert not gate.holds_still(then, AllStop(4, Level.FREEZE))
    StopFile(tmp_path).write(Level.FREEZE, "ana", "")
    assert not gate.holds_still(then, AllStop(epoch=4))
