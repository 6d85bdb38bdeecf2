"""What a task means: forms, identities, and the canonical form that a version stores."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.actions.contract import EffectClass
from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.yaml_reader import read_yaml
from appliance.lib.priority import Priority
from appliance.tasks.definition import (
    Backoff,
    DefinitionError,
    Misfire,
    OnError,
    Overlap,
    OverlapPolicy,
    Retry,
    TaskDefinition,
    Trigger,
    TriggerKind,
    define,
)
from appliance.tasks.definition.events import TRIGGER_EVENTS
from appliance.tasks.definition.header import TaskHeader
from appliance.tasks.loader import load_text

EVERYTHING = """
name: everything
description: All there is
enabled: false
vars: {limit: 80, names: [a, b], deep: {x: 1.5}}
misfire: run_once
valid_for: 1h
priority: high
timeout: 5m
principal: operator
triggers:
  - {id: hot, mqtt: {topic: "plant/{line}/temp", payload: number}, when: "{{ payload > vars.limit }}"}
  - {cron: "0 6 * * 1-5", timezone: Europe/Paris}
  - every 1h30m
  - {at: 2026-05-01 08:00, timezone: Asia/Kathmandu}
  - {webhook: {name: hook, auth: hmac_timestamp, secret: s, header: X-Sig, tolerance: 1m, dedupe: X-Id}}
  - event network.recovered
  - manual
actions:
  - id: look
    type: shell
    command: 'grep "{{ vars.limit }}" /var/log/x'
    env: {A: "{{ now }}"}
    reads: [/srv]
    ok_exit: [0, 1, 2]
    cache_key: last.look
    effect: idempotent
    timeout: 10s
    retry: {attempts: 4, delay: 2s, backoff: constant, max_delay: 1m}
    on_error: continue
    condition: "{{ previous != 1 }}"
  - {type: shell, args: [ls, "{{ vars.limit }}"]}
  - {type: mqtt, topic: "a/{{ vars.limit }}", payload: {x: ["{{ now }}", 1, null]}, safe_state: true}
  - {type: notification, platform: webchat, message: "{% if vars.limit %}x{% endif %}", confirm: handed_over}
  - {type: http, url: "https://x/{{ now }}", method: POST, body: {a: 1}, headers: {A: b}, ok_status: [201]}
  - {type: set, value: "{{ outputs.look | default('') }}"}
  - {type: wait, duration: 5s}
  - {type: task, task: other, vars: {limit: "{{ vars.limit }}"}}
on_failure:
  - {type: notification, platform: webchat, message: "{{ error }}"}
"""


def definition(text: str) -> TaskDefinition:
    document = read_yaml(text)
    assert not document.faults
    found, issues = define(document.value)
    assert not issues
    assert found is not None
    return found


def issues(value: JsonValue) -> list[str]:
    return [issue.message for issue in define(value)[1]]


def task(**more: JsonValue) -> JsonObject:
    return {"name": "t", "actions": [{"type": "set", "value": 1}], **more}


def step(**more: JsonValue) -> JsonObject:
    return {"name": "t", "actions": [{"type": "set", "value": 1, **more}]}


def test_every_key_is_read() -> None:
    found = definition(EVERYTHING)
    assert (found.enabled, found.misfire, found.valid_for) == (False, Misfire.RUN_ONCE, timedelta(hours=1))
    assert (found.priority, found.timeout, found.principal) == (
        Priority.HIGH,
        timedelta(minutes=5),
        "operator",
    )
    assert [t.kind for t in found.triggers] == ["mqtt", "cron", "every", "at", "webhook", "event", "manual"]
    assert found.triggers[3].at == datetime(2026, 5, 1, 2, 15, tzinfo=UTC)
    look = found.actions[0]
    assert look.retry == Retry(
        attempts=4, delay=timedelta(seconds=2), backoff=Backoff.CONSTANT, max_delay=timedelta(minutes=1)
    )
    assert (look.ok_exit, look.effect, look.on_error) == ((0, 1, 2), EffectClass.IDEMPOTENT, OnError.CONTINUE)
    assert look.cache_keys == ("last.look",)
    assert found.called_tasks == ("other",)


def test_a_stored_version_is_the_task_that_was_saved() -> None:
    found = definition(EVERYTHING)
    stored = json.loads(canonical_json(found.to_canonical()))
    again = TaskDefinition.from_canonical(stored)
    assert again == found
    assert again.to_canonical() == stored


def test_the_digest_sees_meaning_and_not_spelling() -> None:
    one = "name: a\ntrigger: 'cron  0 6 * * *'\nactions: [{type: set, value: 1}]\ntimeout: 300s\n"
    other = """
# a comment
- actions:
  - value: 1
    type: "set"
  timeout: 5m
  priority: normal
  triggers:
    - cron: 0 6 * * *
  name: a
"""
    assert load_text(one, "x")[0].digest == load_text(other, "y")[0].digest
    changed = one.replace("value: 1", "value: 2")
    assert load_text(one, "x")[0].digest != load_text(changed, "x")[0].digest


def test_steps_without_an_id_get_a_stable_one_and_never_one_that_is_taken() -> None:
    text = """
name: t
actions:
  - {type: set, value: 1}
  - {type: set, value: 1, id: set-2}
  - {type: set, value: 1}
  - {type: wait, duration: 1s}
  - {type: set, value: 1, id: wait-2}
  - {type: wait, duration: 1s}
  - {type: wait, duration: 1s}
  - {type: wait, duration: 1s, id: wait-4}
on_failure:
  - {type: set, value: 1}
"""
    found = definition(text)
    assert [s.id for s in found.actions] == [
        *("set-1", "set-2", "set-3"),
        *("wait-1", "wait-2", "wait-3", "wait-5", "wait-4"),
    ]
    assert [s.id for s in found.on_failure] == ["on_failure-set-1"]


def test_a_trigger_is_known_by_what_it_says_not_by_where_it_stands() -> None:
    triggers: list[JsonValue] = ["cron * * * * *", {"mqtt": "a/b"}, {"id": "mine", "every": "5m"}]
    forward, _ = define(task(triggers=list(triggers)))
    backward, _ = define(task(triggers=list(reversed(triggers))))
    assert forward is not None
    assert backward is not None
    assert [t.id for t in forward.triggers] == [t.id for t in reversed(backward.triggers)]
    assert forward.triggers[2].id == "mine"
    spelled, _ = define(
        task(triggers=[{"cron": " *  * * * * "}, {"mqtt": {"topic": "a/b", "payload": "json"}}])
    )
    assert spelled is not None
    assert [t.id for t in spelled.triggers] == [t.id for t in forward.triggers[:2]]


def test_a_task_without_a_trigger_is_started_by_hand() -> None:
    assert [t.kind for t in definition("name: t\nactions: [{type: set, value: 1}]").triggers] == [
        TriggerKind.MANUAL
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "this does not fit"),
        (None, "this does not fit"),
        ({}, "`name` is missing"),
        (task(name="a b"), "'a b' cannot be used here"),
        (task(name=""), "'' cannot be used here"),
        (task(name=3), "3 does not fit"),
        (task(nmae="x"), "unknown key `nmae`"),
        (task(overlap={"policy": "queue", "most": 0}), "it should be greater"),
        (task(limit={"runs": 10}), "`per` is missing"),
        (task(limit={"runs": 0, "per": "1m"}), "it should be greater"),
        (task(limit={"runs": 1, "per": "2d"}), "a limit counts over one day at most"),
        (task(misfire="never"), "`never` is not known here"),
        (task(valid_for="1h"), "valid_for says how late"),
        (task(priority="urgent"), "`urgent` is not known here"),
        (task(timeout="soon"), "'soon' is not a duration"),
        (task(timeout=0), "a duration of nothing"),
        (task(principal="root"), "`root` is not known here"),
        (task(vars={"a b": 1}), "'a b' cannot be used here"),
        (task(vars={"a": "{{ now }}"}), "vars are plain values"),
        (task(overlap={"policy": "wait"}), "`wait` is not known here"),
        (task(overlap="wait"), "`wait` is not known here"),
        (task(trigger="manual", triggers=["manual"]), "both `trigger` and `triggers`"),
        (task(triggers=[]), "this does not fit"),
        (task(triggers="manual"), "this does not fit"),
        (task(trigger=7), "this does not fit"),
        (task(trigger="crn * * * * *"), "unknown trigger `crn`"),
        (task(trigger="cron"), "'cron' is not a trigger"),
        (task(trigger="manual x"), "'manual x' is not a trigger"),
        (task(trigger="task a b"), "cannot be used here"),
        (task(trigger={"task": {"name": "a", "state": "done"}}), "`done` is not known here"),
        (task(trigger={"mqtt": "a", "for": "30s"}), "`for` needs an mqtt trigger with `when`"),
        (task(trigger={"mqtt": "a/{x}/+", "when": "{{ payload }}", "for": "30s"}), "a name for each level"),
        (task(trigger={"mqtt": "a/{x}/#", "when": "{{ payload }}", "for": "1s"}), "a name for each level"),
        (task(trigger={"webhook": "a", "when": "{{ payload }}", "for": "30s"}), "needs an mqtt trigger"),
        (task(trigger={"every": "5m", "debounce": "30s"}), "every has none"),
        (task(trigger={"mqtt": "a", "when": "{{ payload }}", "for": "1s", "debounce": "1s"}), "exclude"),
        (task(trigger={"mqtt": "a", "debounce": "31d"}), "at most 30 days"),
        (task(trigger={}), "does not say what starts the task"),
        (task(trigger={"mqtt": "a", "manual": True}), "says mqtt and manual"),
        (task(trigger={"mqtt": "a/#/b"}), "#"),
        (task(trigger={"mqtt": "a/{x}/{x}"}), "twice"),
        (task(trigger={"mqtt": "a", "timezone": "UTC"}), "only cron and at have a timezone"),
        (task(trigger={"cron": "* * * * *", "timezone": "Mars/Base"}), "no time zone 'Mars/Base'"),
        (task(trigger="every 0s"), "a duration of nothing"),
        (task(trigger="every 10ms"), "a period is between"),
        (task(trigger="at noon"), "'noon' is not a time"),
        (task(trigger="event run.chnged"), "no event 'run.chnged'"),
        (task(trigger={"webhook": {"name": "../x"}}), "'../x' cannot be used here"),
        (task(trigger={"webhook": {"name": "x", "auth": "none"}}), "`none` is not known here"),
        (task(trigger={"mqtt": "a", "when": "payload > 1"}), "a condition is one expression"),
        (task(trigger={"cron": "* * * * *", "when": "{{ now }}"}), "`when` looks at an event, cron has none"),
        (task(triggers=["manual", {"manual": True}]), "a second trigger"),
        ({"name": "t"}, "`actions` is missing"),
        (task(actions=[]), "this does not fit"),
        (task(actions=["ls"]), "this does not fit"),
        (task(actions=[{}]), "`type` is missing"),
        (task(actions=[{"type": "notificaton"}]), "unknown action `notificaton`"),
        (task(actions=[{"type": ["set"]}]), "unknown action"),
        (
            task(actions=[{"type": "device_write"}]),
            "the action `device_write` is known, but not in this version",
        ),
        (task(actions=[{"type": "set"}]), "`value` is missing"),
        (task(on_failure="undo"), "no action says how it is undone"),
        (task(on_failure="ignore"), "this does not fit"),
        (step(valeu=1), "unknown key `valeu`"),
        (step(id="a b"), "'a b' cannot be used here"),
        (step(retry=0), "it should be greater than or equal to 1"),
        (step(retry={"attempt": 3}), "unknown key `attempt`"),
        (step(on_error="ignore"), "`ignore` is not known here"),
        (step(ok_exit=[0]), "`set` has no exit status"),
        (step(cache_key="{{ now }}"), "cannot be used here"),
        (step(undo={}), "`type` is missing"),
        (step(sandbox="docker"), "unknown key `sandbox`"),
        (
            task(actions=[{"type": "shell", "command": "ls", "sandbox": "strict"}]),
            "`strict` is not known here",
        ),
        (step(condition="{{ 1 +"), "not closed"),
        (task(actions=[{"type": "shell"}]), "give either command: or args:"),
        (task(actions=[{"type": "shell", "command": "ls", "ok_exit": [300]}]), "less than or equal to 255"),
        (
            task(actions=[{"type": "shell", "command": "ls", "ok_exit": []}]),
            "no exit status would mean success",
        ),
        (task(actions=[{"type": "shell", "command": "echo `x {{ now }}`"}]), "backquotes"),
    ],
)
def test_what_a_task_cannot_mean_is_said(value: JsonValue, said: str) -> None:
    assert any(said in message for message in issues(value)), issues(value)


def test_two_steps_cannot_have_one_id() -> None:
    twice: list[JsonValue] = [{"type": "set", "value": 1, "id": "a"}] * 2
    assert issues(task(actions=twice)) == ["a second step `a`"]


def test_unknown_words_come_with_the_nearest_known_one() -> None:
    hints = {
        issue.path: issue.hint
        for issue in define(
            {
                "nam": "x",
                "name": "t",
                "misfire": "skp",
                "trigger": {"mqt": "a"},
                "actions": [{"type": "notificaton"}, {"type": "mqtt", "topc": "a", "timout": 3}],
            }
        )[1]
    }
    assert hints[("nam",)] == "did you mean `name`?"
    assert hints[("misfire",)] == "did you mean `skip`?"
    assert hints[("trigger", "mqt")] == "did you mean `mqtt`?"
    assert hints[("actions", 0, "type")] == "did you mean `notification`?"
    assert hints[("actions", 1, "topc")] == "did you mean `topic`?"
    assert hints[("actions", 1, "timout")] == "did you mean `timeout`?"


def test_short_forms_mean_their_long_forms() -> None:
    short = definition(
        "name: t\ntrigger: mqtt a/{b}\nactions: [{type: shell, command: ls, retry: 2, ok_exit: 3}]"
    )
    long = definition(
        "name: t\ntriggers: [{mqtt: {topic: 'a/{b}'}}]\n"
        "actions: [{type: shell, command: ls, retry: {attempts: 2}, ok_exit: [3]}]"
    )
    assert short == long


@pytest.mark.parametrize("event", sorted(TRIGGER_EVENTS))
def test_no_event_that_every_run_makes_can_start_a_task(event: str) -> None:
    assert event not in {"run.changed", "step.changed", "occurrence.recorded", "delivery.changed"}
    assert Trigger.model_validate({"event": event}).event == event


def test_a_webhook_always_has_a_secret() -> None:
    webhook = Trigger.model_validate({"webhook": "deploy"}).webhook
    assert webhook is not None
    assert (webhook.auth, webhook.secret_name) == ("bearer", "webhook-deploy")


def test_delays_double_up_to_the_longest() -> None:
    retry = Retry(attempts=9, delay=timedelta(seconds=1), max_delay=timedelta(seconds=5))
    assert [retry.delay_before(n).total_seconds() for n in range(1, 7)] == [0, 1, 2, 4, 5, 5]
    constant = Retry(delay=timedelta(seconds=3), backoff=Backoff.CONSTANT)
    assert [constant.delay_before(n).total_seconds() for n in (2, 3, 50)] == [3, 3, 3]
    assert Retry().delay_before(10_000) == timedelta(minutes=5)


def test_overlap_has_a_short_form() -> None:
    short = TaskHeader.model_validate({"name": "t", "overlap": "queue"}).overlap
    assert short == Overlap(policy=OverlapPolicy.QUEUE)


def test_definitions_can_be_kept_in_sets_and_tables() -> None:
    found = definition(EVERYTHING)
    assert len({found, definition(EVERYTHING)}) == 1
    assert {trigger: trigger.id for trigger in found.triggers}[found.triggers[0]] == "hot"


def test_a_definition_never_changes() -> None:
    found = definition(EVERYTHING)
    with pytest.raises(ValidationError):
        found.name = "other"  # type: ignore[misc]  # that it is read-only is the promise
    with pytest.raises(ValidationError):
        found.actions[0].id = "other"  # type: ignore[misc]  # as above


def test_a_version_that_cannot_be_read_says_so() -> None:
    with pytest.raises(DefinitionError, match=re.escape("actions[0].type: unknown action `teleport`")):
        TaskDefinition.from_canonical({"name": "t", "actions": [{"type": "teleport"}]})


_JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 300)
    | st.sampled_from(["", "a", "{{ now }}", "manual", "5m", "{{"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "trigger", "triggers", "actions", "type", "value", "mqtt", "when", "retry", "vars"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, st.sampled_from(["whole", "trigger", "step", "header"]))
def test_no_value_is_more_than_a_list_of_problems(value: JsonValue, where: str) -> None:
    raw: JsonValue = {
        "whole": value,
        "trigger": task(triggers=[value]),
        "step": task(actions=[value]),
        "header": task(overlap=value, vars=value, timeout=value),
    }[where]
    found, problems = define(raw)
    assert (found is None) is bool(problems)
    if found is not None:
        assert TaskDefinition.from_canonical(found.to_canonical()) == found
