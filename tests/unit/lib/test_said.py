"""A sentence is text like any other, and keeps what it was made of."""

import copy
import json
import pickle

from appliance.lib.said import Said, say


def test_it_is_its_english_text() -> None:
    said = say("there is no `%(name)s` in %(place)r", name="vars.x", place="a")
    assert said == "there is no `vars.x` in 'a'"
    assert json.dumps(said) == json.dumps(str(said))
    assert f"1: {said}" == "1: there is no `vars.x` in 'a'"


def test_without_values_a_percent_sign_is_one() -> None:
    assert say("{% if %} is 100%") == "{% if %} is 100%"


def test_a_copy_is_made_of_the_same() -> None:
    said = say("more than %(most)s", most=3)
    for same in (copy.deepcopy(said), pickle.loads(pickle.dumps(said))):  # our own
        assert isinstance(same, Said)
        assert (same, same.words, same.values) == ("more than 3", "more than %(most)s", {"most": 3})
