from dataclasses import fields

import pytest

from appliance.events import CATALOGUE, RunChanged, UnknownEvent, event_from_json
from appliance.events.journal import Cursor, CursorInvalid, columns
from appliance.lib.jsontypes import JsonObject

SAMPLES = {str: "x", int: 7, float: 1.5, bool: True, list[str]: ["x"]}


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_event_survives_its_json_form(name: str) -> None:
    event_class = CATALOGUE[name]
    event = event_class(**{one.name: SAMPLES[one.type] for one in fields(event_class)})  # type: ignore[index]
    assert event_from_json(name, event.to_json()) == event
    assert event.subject


def test_a_field_of_a_newer_version_is_ignored() -> None:
    data: JsonObject = {"run_id": "r", "task": "t", "state": "queued", "invented_later": 1}
    assert event_from_json("run.changed", data) == RunChanged(run_id="r", task="t", state="queued")


def test_an_unknown_type_and_missing_fields_are_refused() -> None:
    with pytest.raises(UnknownEvent):
        event_from_json("no.such", {})
    with pytest.raises(UnknownEvent):
        event_from_json("run.changed", {"task": "t"})


def test_what_postgresql_refuses_is_washed_out() -> None:
    _, subjects, data = columns([RunChanged(run_id="a\x00b", task="t\ud800", state="queued")])
    assert subjects == ["run/a\ufffdb"]
    assert "\\u0000" not in data[0]
    assert data[0].encode()


@pytest.mark.parametrize(
    "text", ["", "5", "-", "1-", "-1", "a-b", "1-2-3", "１-2", "1" * 60 + "-1", f"{2**63}-1", "1- 2"]
)
def test_a_position_that_was_never_given_out_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)


def test_positions_keep_their_text_and_their_order() -> None:
    assert str(Cursor.parse("12-34")) == "12-34"
    assert Cursor(1, 900) < Cursor(2, 1)
