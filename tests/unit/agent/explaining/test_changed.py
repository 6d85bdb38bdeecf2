"""The box's own line of what was changed follows from the rows, and from nothing that a model says."""

from appliance.agent.explaining.changed import changed_in
from appliance.lib.jsontypes import JsonObject

OFF: JsonObject = {"tool": "mqtt", "arguments": {"topic": "pump/3", "payload": "off"}, "step": "call-1-1"}


def test_without_a_row_nothing_was_changed() -> None:
    assert changed_in({}) == "Changed: nothing, by the box's own record."
    not_done: JsonObject = {"not_done": [OFF], "would_have_done": [OFF]}
    assert changed_in(not_done) == changed_in({})


def test_what_was_done_handed_over_and_taken_back_is_named() -> None:
    assert (
        changed_in({"did": [OFF]}) == "Changed, by the box's own record: mqtt (topic: pump/3, payload: off)."
    )
    assert changed_in({"handed_over": [OFF]}).startswith("Handed over, not confirmed yet: mqtt (")
    assert changed_in({"did": [{**OFF, "undo": "done"}]}).startswith("Changed, and taken back since: mqtt (")
    assert changed_in({"handed_over": [{**OFF, "undo": "done"}]}).startswith(
        "Changed, and taken back since: mqtt ("
    )
    assert changed_in({"did": [{**OFF, "undo": "failed"}]}).startswith("Changed, by the box's own record")


def test_it_stays_one_short_line() -> None:
    long: JsonObject = {"tool": "mqtt", "arguments": {"payload": "x\n" * 900}}
    said = changed_in({"did": [long] * 20})
    assert "\n" not in said
    assert len(said) < 1200
    assert said.endswith("14 more.")
