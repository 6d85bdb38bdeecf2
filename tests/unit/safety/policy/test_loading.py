"""What is wrong with a policy file is said with its place; a wrong file is refused as a whole."""

import pytest

from appliance.safety.policy.decision import LayerPolicy
from appliance.safety.policy.errors import PolicyRefused
from appliance.safety.policy.loading import load_policy
from appliance.safety.policy.model import PolicyFile

KINDS = ("shell", "container", "mqtt", "http", "set", "notification")
HEAD = "policy: 1\nname: plant\nlayer: box\n"
GOOD = (
    HEAD
    + """
default: {agent: deny, otherwise: allow}
rules:
  - id: no-reboot
    kinds: shell
    command: {class: [destroy, unknown], program: "rebo?t"}
    decide: deny
    reason: nobody reboots from a task
  - id: valves
    topic: plant/+/valve/cmd
    time: {days: [mon, tue], from: "22:00", to: "06:00", zone: Europe/Paris}
    decide: ask
    approvers: engineer
    expires: 10m
cases:
  - name: a reboot
    action: {kind: shell, command: {class: destroy, programs: [reboot]}}
    at: 2026-03-02T07:30Z
    expect: deny
    rule: no-reboot
  - name: a valve by night
    action: {kind: mqtt, arguments: {topic: plant/a/valve/cmd}}
    at: 2026-03-03T03:00+01:00
    expect: ask
    rule: valves
  - name: a valve by day
    action: {kind: mqtt, arguments: {topic: plant/a/valve/cmd}}
    at: 2026-03-03T12:00+01:00
    expect: allow
    rule: default
"""
)


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text, "p.yaml", kinds=KINDS)
    return [str(problem) for problem in caught.value.problems]


def test_a_good_file_is_taken_with_its_cases() -> None:
    loaded = load_policy(GOOD, "p.yaml", kinds=KINDS)
    assert [outcome.wrong for outcome in loaded.outcomes] == ["", "", ""]
    assert [rule.id for rule in loaded.file.rules] == ["no-reboot", "valves"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("policy: 1", "policy: 2", "p.yaml:1:9: policy: `2` is not known here; expected: 1"),
        ("layer: box", "layer: bix", "did you mean `box`?"),
        (
            "    topic:",
            "    topci:",
            "p.yaml:13:5: rules[1].topci: unknown key `topci` (did you mean `topic`?)",
        ),
        ("kinds: shell", "kinds: shel", "there is no kind `shel` (did you mean `shell`?)"),
        ("kinds: shell", "kinds: [set]", "the policy is never asked about set"),
        ("plant/+/valve/cmd\n", "plant/#/cmd\n", "# stands alone, and last"),
        ("Europe/Paris", "Mars/Base", "there is no time zone 'Mars/Base'"),
        ('"22:00"', '"25:00"', "a time of day, as 07:30"),
        ('"22:00"', '"06:00"', "no time at all"),
        ("decide: ask", "decide: allow", "only a rule that asks has approvers"),
        ("decide: ask", "decide: maybe", "`maybe` is not known here; expected: allow, ask, deny"),
        ("approvers: engineer", "approvers: boss", "expected: viewer, operator, engineer, admin"),
        ("expires: 10m", "expires: soon", "'soon' is not a duration"),
        ("id: valves", "id: no-reboot", "a second rule `no-reboot`"),
        ("id: valves", "id: default", "`default` names the answer without a rule"),
        ("rule: valves", "rule: valvs", "there is no rule `valvs` (did you mean `valves`?)"),
        ("    at: 2026-03-02T07:30Z\n", "", "`at` is missing: a rule of this file looks at the time"),
        ("2026-03-02T07:30Z", "2026-03-02T07:30", "a moment needs its distance from UTC"),
        (
            "expect: ask",
            "expect: deny",
            "case 'a valve by night': expected deny, but the rule valves says ask",
        ),
        (
            "rule: no-reboot",
            "rule: valves",
            "expected the rule valves to decide, but the rule no-reboot does",
        ),
        ("[destroy, unknown]", "[destory]", "did you mean `destroy`?"),
        ('{class: [destroy, unknown], program: "rebo?t"}', "{}", "name a class, a program, or both"),
        ("otherwise: allow", "otherwise: never", "`never` is not known here"),
        (
            "{agent: deny, otherwise: allow}",
            "perhaps",
            "`perhaps` is not known here (one of allow, ask, deny",
        ),
        ("name: plant", "name: *anchor", "aliases (*name) are not accepted"),
        ("name: plant", "\tname: plant", "p.yaml:2:"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, said: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(said in one for one in found), found
    assert all(one.startswith("p.yaml:") for one in found)


def test_an_empty_file_and_one_of_another_shape_are_refused() -> None:
    assert "the file is empty" in problems("")[0]
    assert "a policy: a mapping" in problems("- a\n- b\n")[0]
    assert "`name` is missing" in problems("policy: 1\nlayer: box\n")[0]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{}", "{kinds: mqtt}"),
        ("{kinds: '*'}", "{topic: a/b}"),
        ("{topic: plant/#}", "{topic: plant/+/cmd, kinds: mqtt}"),
        ("{principal: 'user:*'}", "{principal: user:ana, role: operator}"),
        ("{role: engineer}", "{role: operator}"),
        ("{arguments: {url: 'https://*'}}", "{kinds: http, arguments: {url: https://plc/, method: POST}}"),
        ("{origin: [cron, mqtt]}", "{origin: cron}"),
        ("{time: {days: [mon, tue]}}", "{time: {days: mon, from: '08:00', to: '10:00'}}"),
        ("{command: {class: [destroy, unknown]}}", "{command: {class: destroy, program: rm}}"),
    ],
)
def test_a_rule_that_nothing_reaches_is_refused_with_what_takes_its_cases(earlier: str, later: str) -> None:
    text = (
        f"{HEAD}rules:\n  - {{id: one, decide: ask, {earlier[1:]}\n  - {{id: two, decide: deny, {later[1:]}\n"
    )
    (said,) = problems(text.replace(", }", "}"))
    assert said.startswith("p.yaml:6:10: rules[1].id: the rule `two` can never decide: `one` above it takes")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{device: '*'}", "{kinds: mqtt}"),
        ("{topic: '#'}", "{kinds: mqtt}"),
        ("{arguments: {to: a*}}", "{arguments: {to: ab}}"),  # of a list the first needs every member
        ("{time: {from: '08:00', to: '10:00'}}", "{time: {from: '22:00', to: '09:00'}}"),
        ("{time: {zone: Europe/Paris, to: '10:00'}}", "{time: {to: '09:00'}}"),
        ("{role: operator}", "{kinds: mqtt}"),
    ],
)
def test_a_rule_that_something_may_reach_is_taken(earlier: str, later: str) -> None:
    text = f"{HEAD}rules:\n  - {{id: one, decide: allow, {earlier[1:]}\n  - {{id: two, decide: deny, {later[1:]}\n"
    assert [rule.id for rule in load_policy(text, "p.yaml", kinds=KINDS).file.rules] == ["one", "two"]


@pytest.mark.parametrize(
    ("section", "rule", "said"),
    [
        ("rules", "kinds: [shell], topic: a/b", "shell never has a topic that the policy could look at"),
        ("rules", "kinds: ['s*', http], topic: a/b", "s*, http never has a topic"),
        ("rules", "kinds: mqtt, command: {class: read}", "mqtt never has a command"),
        ("rules", "topic: a/b, command: {class: read}", "no action has a topic and a command"),
        ("plant", "kinds: shell, topic: a/b, state: s, is: 1", "shell never has a topic"),
        ("budgets", "kinds: http, topic: a/b, effects: 1", "http never has a topic"),
    ],
)
def test_a_condition_that_no_action_of_these_kinds_can_meet_is_refused(
    section: str, rule: str, said: str
) -> None:
    decide = "decide: deny, " if section == "rules" else ""
    (found,) = problems(f"{HEAD}{section}:\n  - {{id: a, {decide}{rule}}}\n")
    key = "command" if "never has a command" in said else "topic"
    assert found.startswith(f"p.yaml:5:{13 + found_at(decide + rule, key)}: {section}[0].{key}: {said}")
    assert "this can never match" in found
    assert "remove" in found or "write two rules" in found


def found_at(text: str, key: str) -> int:
    return text.index(f"{key}:")


@pytest.mark.parametrize(
    "rule",
    ["kinds: [shell, mqtt], topic: a/b", "kinds: m*, topic: a/b", "kinds: '*', command: {class: read}"],
)
def test_a_condition_that_one_of_the_kinds_can_meet_is_taken(rule: str) -> None:
    loaded = load_policy(f"{HEAD}rules: [{{id: a, decide: ask, {rule}}}]\n", "p.yaml", kinds=KINDS)
    assert [one.id for one in loaded.file.rules] == ["a"]


def test_a_policy_that_locks_everybody_out_is_refused_with_the_case_that_shows_it() -> None:
    (said,) = problems(f"{HEAD}default: deny\n")
    assert "nobody could act any more: even this is denied: shell by user:admin (admin)" in said
    (said,) = problems(f"{HEAD}rules: [{{id: all, decide: deny}}]\n")
    assert "nobody could act any more" in said
    machines = "rules: [{id: m, principal: 'trigger:*', decide: allow}, {id: o, origin: cron, decide: allow}]"
    assert "nobody could act any more" in problems(f"{HEAD}default: deny\n{machines}\n")[-1]


@pytest.mark.parametrize(
    "rule",
    [
        "{id: a, principal: 'user:*', topic: plant/+/valve/#, decide: allow}",
        "{id: a, principal: console, arguments: {url: https://plc/*}, kinds: http, decide: allow}",
        "{id: a, kinds: shell, command: {class: read, program: l?}, decide: ask}",
        "{id: a, device: pump-*, time: {days: sat, from: '10:00', to: '11:00', zone: Asia/Kathmandu}, decide: allow}",
    ],
)
def test_one_door_that_is_left_open_is_enough(rule: str) -> None:
    loaded = load_policy(f"{HEAD}default: deny\nrules: [{rule}]\n", "p.yaml", kinds=KINDS)
    assert [one.id for one in loaded.file.rules] == ["a"]


def test_closed_hours_lock_nobody_out() -> None:
    hours = "{id: night, time: {from: '18:00', to: '07:00'}, decide: deny}"
    loaded = load_policy(f"{HEAD}rules: [{hours}]\n", "p.yaml", kinds=KINDS)
    assert [one.id for one in loaded.file.rules] == ["night"]


def test_layers_are_looked_at_together() -> None:
    site = PolicyFile.model_validate(
        {
            "policy": 1,
            "name": "s",
            "layer": "site",
            "default": "deny",
            "rules": [{"id": "m", "kinds": "mqtt", "decide": "allow"}],
        }
    )
    text = f"{HEAD}rules: [{{id: m, kinds: mqtt, decide: deny}}]\n"
    load_policy(text, "p.yaml", kinds=KINDS)
    with pytest.raises(PolicyRefused, match="nobody could act any more"):
        load_policy(text, "p.yaml", kinds=KINDS, beside=[LayerPolicy(site, 1)])


def test_huge_and_hostile_files_are_refused_in_time() -> None:
    many = "".join(f"  - {{id: r{n}, task: t{n}, decide: deny}}\n" for n in range(2001))
    assert "2000" in problems(f"{HEAD}rules:\n{many}")[0]
    assert problems("[" * 40_000)
    assert problems(HEAD + "x: " + "{a: " * 100 + "}" * 100)
