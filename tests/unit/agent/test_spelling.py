"""What people read of a call's arguments can be read in one way only."""

import json

import pytest

from appliance.agent.spelling import spelled, spelled_call
from appliance.lib.jsontypes import JsonObject


def test_arguments_stand_there_as_people_read_them_what_it_is_about_first() -> None:
    assert spelled({"payload": "off", "topic": "plant/pump/3/set"}) == "topic: plant/pump/3/set, payload: off"
    assert spelled({"qos": 1, "topic": "a", "retain": True}) == "topic: a, qos: 1, retain: true"
    assert spelled_call({"tool": "mqtt", "arguments": {"topic": "a"}}) == "mqtt (topic: a)"
    assert spelled_call({"tool": "runs.list", "arguments": {}}) == "runs.list"


def test_a_value_cannot_pass_for_another_one() -> None:
    assert spelled({"topic": "a, payload: on", "payload": "off"}) == 'topic: "a, payload: on", payload: off'
    assert spelled({"payload": "1"}) == 'payload: "1"'
    assert spelled({"payload": "true"}) == 'payload: "true"'
    assert spelled({"payload": ""}) == 'payload: ""'
    assert spelled({"a: b": "c"}) == '"a: b": c'
    assert spelled({"payload": "x\n2. mqtt"}) == 'payload: "x\\n2. mqtt"'


def test_the_same_values_are_spelled_the_same_in_whatever_order_they_come() -> None:
    one: JsonObject = {"x": {"b": 1, "a": 2}, "topic": "t"}
    other: JsonObject = {"topic": "t", "x": {"a": 2, "b": 1}}
    assert spelled(one) == spelled(other)


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\x9b"])
def test_what_turns_a_line_round_or_hides_in_it_stands_there_by_its_number(hidden: str) -> None:
    said = spelled({"payload": f"off{hidden}no", f"to{hidden}pic": "a"})
    assert hidden not in said
    assert said.count(json.dumps(hidden)[1:-1]) == 2
