"""What is looked at with a schema that is none, or points at nothing."""

import pytest

from appliance.lib.json_schema import misfit, place_of
from appliance.lib.jsontypes import JsonObject


def test_the_place_of_what_does_not_fit_is_named() -> None:
    wrong = misfit(
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}, {"a": ["x"]}
    )
    assert wrong is not None
    assert place_of(wrong) == "a.0"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "wrong"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://elsewhere.example/schema.json"},
    ],
)
def test_a_schema_that_cannot_be_used_is_a_value_error(schema: JsonObject) -> None:
    """Also one that would have an address opened."""
    with pytest.raises(ValueError, match="schema"):
        misfit(schema, {})
