"""The texts that a group commit carries: what PostgreSQL takes, and what the audit chain would have written itself."""

import json
import math
from datetime import UTC, datetime
from uuid import UUID

import pytest

from appliance.audit.chain import AuditEntry, body_of
from appliance.lib.jsontypes import JsonValue
from appliance.runs.reflex.group import _record, _text

NOW = datetime(2026, 5, 1, 12, 30, 15, 250, tzinfo=UTC)
STEP: JsonValue = {
    "step": "0190/act",
    "arguments": {"payload": {"b": 1.5, "a": "é°", "n": 2**70}, "topic": "out/a"},
    "attempt": 1,
}


@pytest.mark.parametrize(
    "rows",
    [
        [STEP],
        [STEP, STEP],
        [{"arguments": {"payload": "half a pair \ud800"}}],
        [{"arguments": {"payload": "nul \x00"}}],
        [{"arguments": {"payload": "x" * 100_000}}],
    ],
)
def test_the_body_of_a_record_is_the_one_of_the_chain(rows: list[JsonValue]) -> None:
    entry = AuditEntry("steps.intent", "box", "reflex", {"steps": rows}, NOW)
    assert json.loads(str(_record(entry)["body"])) == json.loads(body_of(entry))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (UUID(int=5), str(UUID(int=5))),
        (NOW, "2026-05-01T12:30:15.000250Z"),
        ("nul \x00", "nul \ufffd"),
        ("half a pair \ud800", "half a pair \ufffd"),
        (2**70, 2**70),
        (None, None),
    ],
)
def test_a_row_is_json_that_the_database_takes(value: object, written: object) -> None:
    text = _text([{"value": value}])
    assert text is not None
    assert "\\u0000" not in text
    assert json.loads(text) == [{"value": written}]


def test_no_rows_are_no_text() -> None:
    assert _text([]) is None


def test_a_number_without_a_word_in_json_does_not_break_the_text() -> None:
    assert json.loads(_text([{"value": math.inf}]) or "") == [{"value": None}]
