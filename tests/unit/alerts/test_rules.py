"""Rules as data: what they match, what they count, and how a bad file is refused, with the place of each fault."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.alerts.errors import RulesRefused
from appliance.alerts.evaluating import Entry, Evaluator, origins_of, outcome_of
from appliance.alerts.loading import load_rules, shipped
from appliance.alerts.model import Outcome
from appliance.alerts.raising import _run_of

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def entry(
    kind: str, principal: str = "user:ana", subject: str = "", seconds: float = 0, **detail: Any
) -> Entry:
    return Entry(1, BEGIN + timedelta(seconds=seconds), kind, principal, subject, detail)


def rules(*lines: str) -> Evaluator:
    text = "alerts: 1\nname: n\nrules:\n" + "".join(f"  - {line}\n" for line in lines)
    return Evaluator(load_rules(text, "r.yaml").file)


def hit(evaluator: Evaluator, found: Entry) -> list[str]:
    return [rule.id for rule in evaluator.take(found)]


def test_the_rules_that_the_box_comes_with_pass_their_own_cases() -> None:
    loaded = shipped()
    assert len(loaded.cases) == len(loaded.file.cases) >= 5
    ids = {rule.id for rule in loaded.file.rules}
    assert {
        "locked-out",
        "policy-changed",
        "record-broken",
        "token-made",
        "undeclared-effect",
    } <= ids


@pytest.mark.parametrize(
    ("rule", "fits", "not_fits"),
    [
        ("{id: a, kinds: policy.*}", entry("policy.apply"), entry("task.created")),
        ("{id: a, principal: [chat:*, user:eve]}", entry("x", "chat:telegram/1"), entry("x", "user:ana")),
        (
            "{id: a, subject: device/pump-?}",
            entry("x", subject="device/pump-1"),
            entry("x", subject="device/pump-12"),
        ),
        ("{id: a, origin: chat}", entry("x", origin="chat"), entry("x", "chat:t/1", origin="cron")),
        ("{id: a, origin: chat}", entry("x", "chat:t/1"), entry("x")),
        ("{id: a, outcome: refused}", entry("step.refused"), entry("step.intent")),
        ("{id: a, outcome: [refused, failed]}", entry("audit.broken"), entry("approval.asked")),
        ("{id: a, fields: {task: over*}}", entry("x", task="overheat"), entry("x")),
        (
            "{id: a, fields: {arguments.qos: 1}}",
            entry("x", arguments={"qos": 1}),
            entry("x", arguments={"qos": 2}),
        ),
        ("{id: a, fields: {tags: hot}}", entry("x", tags=["cold", "hot"]), entry("x", tags=["cold"])),
        ("{id: a, fields: {on: true}}", entry("x", on=True), entry("x", on=1)),
    ],
)
def test_every_condition_must_hold(rule: str, fits: Entry, not_fits: Entry) -> None:
    evaluator = rules(rule)
    assert hit(evaluator, fits) == ["a"]
    assert hit(evaluator, not_fits) == []


def test_only_kinds_that_some_rule_looks_at_are_read() -> None:
    evaluator = rules("{id: a, kinds: step.intent}")
    assert evaluator.wants("step.intent")
    assert evaluator.wants("steps.intent")
    assert not evaluator.wants("run.started")


def test_a_rate_counts_for_each_principal_by_itself_and_forgets_what_is_too_old() -> None:
    evaluator = rules("{id: a, kinds: x, rate: {count: 3, within: 1m, per: principal}}")
    found = [
        hit(evaluator, entry("x", who, seconds=at)) for who, at in (("a", 0), ("b", 1), ("a", 2), ("b", 3))
    ]
    assert found == [[]] * 4
    assert hit(evaluator, entry("x", "a", seconds=59)) == ["a"]
    assert hit(evaluator, entry("x", "b", seconds=70)) == []
    assert hit(evaluator, entry("x", "b", seconds=71)) == []
    assert hit(evaluator, entry("x", "b", seconds=72)) == ["a"]


def test_what_was_counted_can_be_taken_up_again_and_is_bounded() -> None:
    line = "{id: a, kinds: x, rate: {count: 2, within: 1m, per: principal}}"
    first = rules(line)
    for n in range(1000):
        assert hit(first, entry("x", f"p{n}")) == []
    kept = first.state()
    assert len(kept["a"]) == 500  # type: ignore[arg-type]  # a mapping
    text = f"alerts: 1\nname: n\nrules: [{line}]\n"
    second = Evaluator(load_rules(text, "r").file, kept)
    assert hit(second, entry("x", "p999", seconds=1)) == ["a"]
    assert hit(second, entry("x", "p0", seconds=1)) == []


def test_outcome_and_origin_of_what_is_on_record() -> None:
    assert outcome_of(entry("approval.decided", choice="deny")) is Outcome.REFUSED
    assert outcome_of(entry("approval.decided", choice="approve")) is Outcome.DONE
    assert outcome_of(entry("approval.asked")) is Outcome.ASKED
    assert origins_of(entry("x", "trigger:a/b")) == ["trigger"]


def test_a_run_that_counts_as_several_origins_is_found_by_each() -> None:
    """Rules that look for what people start go on to find what a token or a command starts."""
    started = entry("run.started", "token:ana/ci", origin="api", also=["manual"])
    for wanted in ("api", "manual"):
        assert hit(rules(f"{{id: r, origin: {wanted}}}"), started) == ["r"]
    assert hit(rules("{id: r, origin: mqtt}"), started) == []


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "r.yaml:1:1", "the file is empty"),
        ("alerts: 1\nname: n\nrules: [{id: a, kind: x}]\n", "r.yaml:3:17", "did you mean `kinds`?"),
        ("alerts: 1\nname: n\nrules: [{id: a}]\n", "r.yaml:3:14", "has no condition"),
        ("alerts: 1\nname: n\nrules: [{id: a, kinds: []}]\n", "r.yaml:3:24", "an empty list matches nothing"),
        ("alerts: 1\nname: n\nto: role:boss\n", "r.yaml:3:5", "there is no role `boss`"),
        ("alerts: 1\nname: n\nto: telegrm/1\n", "r.yaml:3:5", "did you mean `telegram`?"),
        (
            "alerts: 1\nname: n\nrules: [{id: a, kinds: x}, {id: a, kinds: y}]\n",
            "r.yaml:3:33",
            "a second rule `a`",
        ),
        (
            "alerts: 1\nname: n\nrules: [{id: a, kinds: x, rate: {count: 1, within: 1m}}]\n",
            "r.yaml:3:41",
            "greater than or equal to 2",
        ),
        (
            "alerts: 1\nname: n\nrules: [{id: a, kinds: x}]\n"
            "cases:\n  - {name: c, records: [{kind: y}], expect: [a]}\n",
            "r.yaml:5:45",
            "expected a, but none alert",
        ),
        (
            "alerts: 1\nname: n\nrules: [{id: lock, kinds: x}]\n"
            "cases:\n  - {name: c, records: [{kind: x}], expect: [look]}\n",
            "r.yaml:5:46",
            "did you mean `lock`?",
        ),
    ],
)
def test_a_bad_file_is_refused_with_the_place(text: str, place: str, said: str) -> None:
    with pytest.raises(RulesRefused) as refused:
        load_rules(text, "r.yaml", platforms=("telegram", "webchat"))
    assert any(str(one).startswith(place) and said in str(one) for one in refused.value.problems), (
        refused.value
    )


@pytest.mark.parametrize(
    ("subject", "run"),
    [
        ("0194a000-0000-7000-8000-000000000001", "0194a000-0000-7000-8000-000000000001"),
        ("0194a000-0000-7000-8000-000000000001/press", "0194a000-0000-7000-8000-000000000001"),
        ("task/press", ""),
        ("", ""),
    ],
)
def test_an_alert_knows_the_run_that_it_is_about(subject: str, run: str) -> None:
    assert _run_of(subject) == run
