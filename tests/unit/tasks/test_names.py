"""Every name a task uses exists under each of its triggers, or the file is refused when it is saved."""

import pytest

from appliance.lib.located.yaml_reader import read_yaml
from appliance.tasks.definition import define

MQTT = "mqtt plant/{line}/pump/{pump}/temp"


def problems(text: str) -> list[str]:
    document = read_yaml(text)
    assert not document.faults
    return [issue.message for issue in define(document.value)[1]]


def uses(expression: str, *, trigger: str = MQTT, more: str = "") -> list[str]:
    """The problems of a task whose second step uses an expression."""
    return problems(f"""
name: t
trigger: "{trigger}"
vars: {{limit: 80, mode: {{a: 1}}}}
actions:
  - {{id: first, type: set, value: 1}}
  - {{id: second, type: set, value: "{{{{ {expression} }}}}"{more}}}
""")


@pytest.mark.parametrize(
    "expression",
    [
        "payload.value",
        "payload['value']",
        "topic ~ line ~ pump",
        "event.type",
        "vars.limit + vars['limit']",
        "vars.mode.a",
        "output",
        "outputs.first",
        "outputs['first']",
        "cache.anything",
        "previous",
        "run.id ~ task.name ~ now",
        "state('a/b', max_age='10s')",
        "vars.later | default(1)",
        "(payload | default({})).x",
        "'payload of nothing: nobody'",
    ],
)
def test_what_exists_may_be_used(expression: str) -> None:
    assert uses(expression) == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("paylod.value", "there is no `paylod`"),
        ("lin", "there is no `lin`"),
        ("vars.limti", "`vars.limti` is not declared"),
        ("outputs.frist", "there is no step `frist`"),
        ("outputs.second", "the step `second` does not come before this one"),
        ("error", "`error` exists in on_failure only"),
        ("item.x", "`item` exists only inside foreach"),
        ("index", "`index` exists only inside foreach"),
        ("device.name", "only in actions on devices"),
        ("cache", "`cache` needs a fixed key"),
        ("cache[line]", "`cache` needs a fixed key"),
        ("nobody | default(1)", "there is no `nobody`"),
        ("outputs.frist | default(1)", "there is no step `frist`"),
    ],
)
def test_what_cannot_exist_is_found_at_save_time(expression: str, said: str) -> None:
    found = uses(expression)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("trigger", ["cron * * * * *", "manual", "event network.lost", "every 5m"])
def test_a_payload_needs_a_trigger_that_brings_one(trigger: str) -> None:
    assert uses("payload.value", trigger=trigger) == [
        f"`payload` does not exist under the trigger `{trigger}`"
    ]


def test_a_webhook_brings_a_payload_and_no_topic() -> None:
    assert uses("payload.ref", trigger="webhook deploy") == []
    assert "`topic` does not exist" in uses("topic", trigger="webhook deploy")[0]


def test_each_trigger_counts_and_the_one_without_the_name_is_named() -> None:
    text = """
name: t
triggers:
  - mqtt plant/{line}/temp
  - mqtt plant/{line}/pressure
  - cron 0 6 * * *
actions:
  - {type: set, value: "{{ line }}"}
  - {type: set, value: "{{ line | default('all') }}"}
"""
    assert problems(text) == ["`line` does not exist under the trigger `cron 0 6 * * *`"]


def test_the_first_step_has_no_step_before_it() -> None:
    text = "name: t\nactions:\n  - {type: set, value: '{{ output }}'}\n"
    assert "this is the first step" in problems(text)[0]


def test_the_output_of_a_step_that_may_not_run_needs_a_default() -> None:
    text = """
name: t
actions:
  - {id: sure, type: set, value: 1}
  - {id: maybe, type: set, value: 1, condition: "{{ outputs.sure }}"}
  - {id: weak, type: set, value: 1, on_error: continue}
  - {type: set, value: "{{ outputs.maybe }}"}
  - {type: set, value: "{{ outputs.weak }}"}
  - {type: set, value: "{{ outputs.maybe | default(1) ~ outputs.weak | default(1) ~ output }}"}
"""
    found = problems(text)
    assert [
        "`outputs.maybe` may be missing: it may be skipped" in found[0],
        "`outputs.weak`" in found[1],
    ] == [True] * 2
    assert len(found) == 2


def test_after_a_failure_nothing_is_certain_but_the_error() -> None:
    text = """
name: t
actions:
  - {id: a, type: set, value: 1}
on_failure:
  - {type: set, value: "{{ error }} {{ output }} {{ outputs.a }}"}
  - {type: set, value: "{{ error }} {{ output | default('') }} {{ outputs.a | default('') }}"}
"""
    found = problems(text)
    assert len(found) == 2
    assert all("may be missing" in message for message in found)


def test_a_condition_of_a_trigger_sees_its_own_event_and_nothing_of_the_run() -> None:
    text = """
name: t
triggers:
  - {mqtt: "a/{x}", when: "{{ payload and x and vars.v and now }}"}
  - {event: network.lost, when: "{{ payload }}"}
  - {webhook: hook, when: "{{ output or cache.x or run.id or previous }}"}
vars: {v: 1}
actions:
  - {type: set, value: 1}
"""
    assert problems(text) == [
        "`payload` does not exist under the trigger `event network.lost`",
        "`cache` exists in actions only",
        "`output` exists in actions only",
        "`previous` exists in actions only",
        "`run` exists in actions only",
    ]


def test_the_key_of_overlap_must_exist_under_each_trigger() -> None:
    text = """
name: t
triggers: ["mqtt a/{x}", manual]
overlap: {key: "{{ x }}"}
actions:
  - {type: set, value: 1}
"""
    assert "`x` does not exist under the trigger `manual`" in problems(text)


def test_a_capture_cannot_hide_a_name() -> None:
    assert "would hide the name `payload`" in uses("1", trigger="mqtt a/{payload}")[0]


def test_a_loop_s_own_name_is_not_looked_up() -> None:
    text = """
name: t
trigger: webhook w
actions:
  - type: notification
    platform: webchat
    message: "{% for c in payload.commits %}{{ c.id }}{% endfor %}{{ c }}"
"""
    assert problems(text) == ["there is no `c`"]
