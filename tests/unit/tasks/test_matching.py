"""Which triggers an event fires, which refuse it, and which cannot even decide."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.tasks.matching import (
    EVENT_KEPT,
    Armed,
    Fired,
    PayloadError,
    Refused,
    TriggerTable,
    decode,
    event_scope,
)
from tests.definitions import task_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def table(*texts: str) -> TriggerTable:
    armed = []
    for number, text in enumerate(texts, 1):
        definition = task_of(text)
        armed += [Armed(number, number * 10, definition, trigger) for trigger in definition.triggers]
    return TriggerTable(armed)


def mqtt(topic: str, *, payload: str = "json", when: str = "", name: str = "t") -> str:
    said = f"\n      when: '{when}'" if when else ""
    return f"""
- name: {name}
  vars: {{limit: 80}}
  triggers:
    - mqtt: {{topic: "{topic}", payload: {payload}}}{said}
  actions: [{{type: set, value: 1}}]
"""


def one(found: list[Fired | Refused]) -> Fired | Refused:
    (decision,) = found
    return decision


def send(table: TriggerTable, topic: str, payload: Any) -> list[Fired | Refused]:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return table.match_message(topic, data, NOW)


@pytest.mark.parametrize(
    ("payload", "kind", "value"),
    [
        (b'{"a": [1, null, "x"]}', "json", {"a": [1, None, "x"]}),
        (b" 12 ", "number", 12),
        (b"-1.5e3", "number", -1500.0),
        (b"text {{ x }}", "text", "text {{ x }}"),
        (b"", "text", ""),
        ("温度".encode(), "text", "温度"),
        (b"a\x00b", "text", "a\ufffdb"),
        (b"[" * 64 + b"]" * 64, "json", json.loads("[" * 64 + "]" * 64)),
        (b"[" + b"[]," * 99 + b"[]]", "json", [[] for _ in range(100)]),
    ],
)
def test_a_payload_is_read_as_its_trigger_says(payload: bytes, kind: str, value: object) -> None:
    assert decode(payload, kind) == value


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"{", "json"),
        (b"", "json"),
        (b"NaN", "json"),
        (b"[Infinity]", "json"),
        (b"\xff\xfe", "json"),
        (b"\xff\xfe", "text"),
        (b"true", "number"),
        (b'"12"', "number"),
        (b"12 apples", "number"),
        (b"NaN", "number"),
        (b"[" * 100_000, "json"),
        (b"1" * 10_000, "json"),
        (b"[" * 65 + b"]" * 65, "json"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "json"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_and_never_crashes(payload: bytes, kind: str) -> None:
    with pytest.raises(PayloadError):
        decode(payload, kind)


def test_captures_become_names() -> None:
    found = one(send(table(mqtt("plant/{line}/pump/{pump}/temp")), "plant/a/pump/7/temp", {"value": 1}))
    assert isinstance(found, Fired)
    assert found.inputs["captures"] == {"line": "a", "pump": "7"}
    assert found.inputs["topic"] == "plant/a/pump/7/temp"
    scope = event_scope(found.armed.definition, found.inputs, NOW)
    assert (scope["line"], scope["pump"], scope["vars"]) == ("a", "7", {"limit": 80})


def test_other_topics_do_not_concern_it() -> None:
    assert send(table(mqtt("plant/{line}/temp")), "plant/a/b/temp", 1) == []


def test_when_decides_with_payload_captures_and_vars() -> None:
    when = '{{ payload.value > vars.limit and pump == "7" }}'
    asked = table(mqtt("pump/{pump}", when=when))
    assert isinstance(one(send(asked, "pump/7", {"value": 81})), Fired)
    assert isinstance(one(send(asked, "pump/8", {"value": 81})), Refused)
    refused = one(send(asked, "pump/7", {"value": 80}))
    assert isinstance(refused, Refused)
    assert not refused.failed
    assert refused.reason == f"when said no: {when}"


@pytest.mark.parametrize("payload", [{}, {"value": "hot"}, [1], None, "x", {"value": None}])
def test_a_when_that_cannot_be_decided_is_a_failure_with_its_reason(payload: object) -> None:
    found = one(send(table(mqtt("t/x", when="{{ payload.value > vars.limit }}")), "t/x", payload))
    assert isinstance(found, Refused)
    assert found.failed
    assert found.reason.startswith("when: ")


def test_a_payload_of_the_wrong_form_is_a_failure_and_its_trace_is_bounded() -> None:
    found = one(send(table(mqtt("t/x")), "t/x", b"\xff" * 100_000))
    assert isinstance(found, Refused)
    assert found.failed
    assert len(str(found.event["payload"])) <= EVENT_KEPT


def test_one_task_s_bad_condition_leaves_the_others_alone() -> None:
    asked = table(mqtt("t/x", when="{{ payload.a.b > 1 }}", name="broken"), mqtt("t/+", name="fine"))
    found = {d.armed.definition.name: type(d) for d in send(asked, "t/x", {"value": 1})}
    assert found == {"broken": Refused, "fine": Fired}


def test_an_event_fires_the_triggers_that_named_it_and_no_others() -> None:
    asked = table("""
- name: watch
  triggers:
    - event: run.failed
      when: "{{ event.task == 'a' }}"
  actions: [{type: set, value: 1}]
""")
    assert isinstance(one(asked.match_event("run.failed", {"task": "a"}, NOW)), Fired)
    assert isinstance(one(asked.match_event("run.failed", {"task": "b"}, NOW)), Refused)
    assert asked.match_event("run.succeeded", {"task": "a"}, NOW) == []


def test_the_broker_is_asked_for_what_tasks_listen_to_and_nothing_else() -> None:
    asked = table(mqtt("plant/{line}/temp", name="a"), mqtt("lab/#", name="b"))
    assert asked.filters == {"plant/+/temp", "lab/#"}


def test_vars_given_by_the_caller_win_over_the_task_s_own() -> None:
    definition = task_of(mqtt("t/x"))
    assert event_scope(definition, {"vars": {"limit": 5}}, NOW)["vars"] == {"limit": 5}
