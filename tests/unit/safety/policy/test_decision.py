"""Narrowing changes no answer, and a further layer never makes one more permissive."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from appliance.accounts.domain import Role
from appliance.lib.jsontypes import JsonValue
from appliance.safety.policy.decision import BUILT_IN, CompiledRule, LayerPolicy, Policy
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.model import PolicyFile, Rule
from appliance.safety.policy.subsume import takes_all
from appliance.safety.policy.verdict import PolicyVerdict, strictest
from appliance.safety.policy.vocabulary import Answer, Layer
from appliance.safety.understood import classify as classify_command
from tests.searching import search
from tests.unit.safety.policy.drawn import actions, layers, pairs, policies

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


@search(400)
@given(policies(), actions())
def test_narrowing_and_deciding_equal_walking_every_rule(
    policy: Policy, action: tuple[Static, Facts]
) -> None:
    static, facts = action
    assert policy.narrow(static).decide(facts) == policy.plain(static, facts)
    assert policy.decide(static, facts) == policy.plain(static, facts)
    assert policy.narrow(static) is policy.narrow(static), "decided once"


@search(200)
@given(layers(Layer.BOX), layers(Layer.SITE), actions())
def test_a_further_layer_is_never_more_permissive(
    box: LayerPolicy, site: LayerPolicy, action: tuple[Static, Facts]
) -> None:
    alone = Policy([box]).decide(*action).answer.strictness
    assert Policy([box, site]).decide(*action).answer.strictness >= alone
    assert Policy([site, box]).decide(*action) == Policy([box, site]).decide(*action), "whatever the order"


@search(200)
@given(policies(), actions())
def test_a_run_is_judged_by_every_origin_that_led_to_it(policy: Policy, action: tuple[Static, Facts]) -> None:
    """The strictest of what each origin alone would get, and never less than the run's own."""
    static, facts = action
    alone = [
        replace(static, origin=origin, also=()) for origin in dict.fromkeys((static.origin, *static.also))
    ]
    answers = [policy.plain(one, facts) for one in alone]
    found = policy.narrow(static).decide(facts)
    assert found.answer is max((one.answer for one in answers), key=lambda one: one.strictness)
    assert (found.layer, found.rule) in {(one.layer, one.rule) for one in answers}


@search(800)
@given(pairs(), actions())
def test_a_rule_that_is_said_to_take_all_of_another_does(
    pair: tuple[Rule, Rule], action: tuple[Static, Facts]
) -> None:
    earlier, later = pair
    if not takes_all(earlier, later):
        return
    static, facts = action[0].each[0], action[1]

    def fits(rule: Rule) -> bool:
        compiled = CompiledRule.of(rule, Layer.BOX, 1)
        return all(one.test(static) for one in compiled.static) and all(
            test(facts) for test in compiled.tests
        )

    assert fits(earlier) or not fits(later)


def said(answer: Answer, layer: Layer, approvers: Role | None = None, seconds: int = 0) -> PolicyVerdict:
    expires = timedelta(seconds=seconds) if seconds else None
    return PolicyVerdict(answer, "r", layer, 1, approvers=approvers, expires=expires)


def test_two_layers_that_ask_ask_the_higher_role_for_the_shorter_time() -> None:
    both = strictest(
        [said(Answer.ASK, Layer.BOX, Role.OPERATOR, 600), said(Answer.ASK, Layer.SITE, Role.ADMIN, 60)]
    )
    assert (both.layer, both.approvers, both.expires) == (Layer.BOX, Role.ADMIN, timedelta(seconds=60))


def test_the_layer_that_denies_is_named() -> None:
    assert strictest([said(Answer.ALLOW, Layer.BOX), said(Answer.DENY, Layer.SITE)]).name == "site/r"


def decide(
    text: Mapping[str, object], static: Static, arguments: Mapping[str, JsonValue], at: datetime = MONDAY
) -> str:
    file = PolicyFile.model_validate({"policy": 1, "name": "x", "layer": "box", **text})
    facts = Facts(static.kind, arguments, Role.OPERATOR, at, classify_command)
    return Policy([LayerPolicy(file, 1)]).decide(static, facts).answer.value


MQTT = Static("mqtt", "manual", "t", "user:ana")


def test_without_a_policy_an_agent_asks_and_all_others_may() -> None:
    facts = Facts("mqtt", {}, Role.OPERATOR, MONDAY, classify_command)
    policy = Policy([BUILT_IN])
    assert policy.decide(MQTT, facts).answer is Answer.ALLOW
    assert policy.decide(Static("mqtt", "agent", "t", "agent:x"), facts).answer is Answer.ASK


@pytest.mark.parametrize("origin", ["api", "manual"])
def test_what_a_token_starts_is_judged_as_what_a_person_starts_too(origin: str) -> None:
    by_token = Static("mqtt", "api", "t", "token:ana/ci")
    text = {"rules": [{"id": "r", "origin": origin, "decide": "deny"}]}
    assert decide(text, by_token, {}) == "deny"
    assert decide({"default": {origin: "deny"}}, by_token, {}) == "deny"
    assert decide({"default": {"mqtt": "deny"}}, by_token, {}) == "allow"
    assert decide({"default": {"api": "deny"}}, MQTT, {}) == "allow", "a person is no token"


def test_a_budget_or_a_condition_on_one_origin_is_about_whatever_it_led_to() -> None:
    about = {"origin": "agent", "kinds": "mqtt"}
    text = {
        "budgets": [{"id": "b", "effects": 1, **about}],
        "plant": [{"id": "p", "state": "mode", "is": 1, **about}],
    }
    file = PolicyFile.model_validate({"policy": 1, "name": "x", "layer": "box", **text})
    policy = Policy([LayerPolicy(file, 1)])

    def held_back(static: Static) -> tuple[list[str], list[str]]:
        found = policy.narrow(static)
        return [one.purse.rule for one in found.budgets], [one.name for one in found.plant]

    called = Static("mqtt", "task", "t", "agent:x", ("agent",))
    assert held_back(called) == (["box/b", "box/agent-repeats"], ["box/p"])
    assert held_back(replace(called, also=())) == ([], [])
    assert held_back(replace(called, kind="http")) == (["box/agent-repeats"], [])


def test_of_a_list_a_rule_that_allows_needs_every_member_and_others_one() -> None:
    http = Static("http", "manual", "t", "user:ana")
    allow = {"default": "deny", "rules": [{"id": "r", "arguments": {"to": "*@ours"}, "decide": "allow"}]}
    deny = {"default": "allow", "rules": [{"id": "r", "arguments": {"to": "*@theirs"}, "decide": "deny"}]}
    both: dict[str, JsonValue] = {"to": ["a@ours", "b@theirs"]}
    assert decide(allow, http, both) == "deny"
    assert decide(allow, http, {"to": ["a@ours"]}) == "allow"
    assert decide(allow, http, {"to": []}) == "deny"
    assert decide(deny, http, both) == "deny"


@pytest.mark.parametrize(
    ("at", "answer"),
    [
        ("2026-03-02T21:59+01:00", "allow"),
        ("2026-03-02T22:00+01:00", "deny"),
        ("2026-03-03T05:59+01:00", "deny"),
        ("2026-03-03T06:00+01:00", "allow"),
        ("2026-03-03T23:00+01:00", "allow"),
        ("2026-03-02T21:00+00:00", "deny"),
        # The last Sunday of March, when clocks in Paris go from 02:00 to 03:00: the hour is read from the clock.
        ("2026-03-30T03:30+02:00", "allow"),
    ],
)
def test_hours_that_begin_in_the_evening_end_on_the_next_day(at: str, answer: str) -> None:
    hours = {"days": ["mon"], "from": "22:00", "to": "06:00", "zone": "Europe/Paris"}
    text = {"default": "allow", "rules": [{"id": "r", "time": hours, "decide": "deny"}]}
    assert decide(text, MQTT, {}, datetime.fromisoformat(at)) == answer


SHELL = Static("shell", "manual", "t", "user:ana")


def program_rule(answer: str, program: str, **more: object) -> dict[str, object]:
    """A policy of one rule on a program, that answers the other way where it does not match."""
    otherwise = "deny" if answer == "allow" else "allow"
    rule = {"id": "r", "command": {"program": [program], **more}, "decide": answer}
    return {"default": otherwise, "rules": [rule]}


@pytest.mark.parametrize(
    "script",
    [
        "LD_PRELOAD=/job/x ls",
        "ls > $f",
        "ls; export LD_PRELOAD=/job/x; ls",
        "ls $(ls > $f)",
        "ls; for PATH in /tmp; do ls; done",
        "ls; [[ -v x ]]",
    ],
)
def test_a_rule_that_allows_programs_takes_nothing_that_is_not_understood(script: str) -> None:
    assert decide(program_rule("allow", "ls"), SHELL, {"command": script}) == "deny"
    assert decide(program_rule("allow", "*"), SHELL, {"command": script}) == "deny"
    both = program_rule("allow", "ls", **{"class": ["read", "unknown"]})
    assert decide(both, SHELL, {"command": "ls > $f"}) == "allow", "it says so itself"


def test_a_rule_that_allows_programs_takes_what_is_understood() -> None:
    assert decide(program_rule("allow", "ls"), SHELL, {"command": "ls /srv"}) == "allow"
    assert decide(program_rule("allow", "ls"), SHELL, {"command": "cat /srv/x"}) == "deny"


@pytest.mark.parametrize("script", ["rm x", "((", "x=rm; $y a", "eval $y", "LD_PRELOAD=/job/x ls", "ls > $f"])
@pytest.mark.parametrize("answer", ["deny", "ask"])
def test_what_is_not_understood_may_run_any_program_that_is_denied_or_asked_for(
    answer: str, script: str
) -> None:
    assert decide(program_rule(answer, "rm"), SHELL, {"command": script}) == answer
    assert decide(program_rule(answer, "r?"), SHELL, {"command": script}) == answer
    assert decide(program_rule(answer, "rm"), SHELL, {"command": "ls"}) == "allow"
    only = program_rule(answer, "rm", **{"class": ["destroy"]})
    assert decide(only, SHELL, {"command": "(("}) == "allow", "it names its classes"


def test_a_topic_is_that_of_publishing_only() -> None:
    text = {"rules": [{"id": "r", "topic": "plant/+/cmd", "decide": "deny"}]}
    assert decide(text, MQTT, {"topic": "plant/a/cmd"}) == "deny"
    assert decide(text, MQTT, {"topic": "plant/a/b/cmd"}) == "allow"
    assert decide(text, Static("http", "manual", "t", "u"), {"topic": "plant/a/cmd"}) == "allow"
