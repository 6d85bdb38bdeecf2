"""Schemas for a model's answers: what is refused before any model is asked."""

import pytest

from appliance.inference.answer_schema import check_schema
from appliance.inference.errors import ModelRefused
from appliance.lib.jsontypes import JsonObject


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "thing"}, "no JSON schema"),
        ({"type": "string", "pattern": "("}, "no JSON schema"),
        ({"$ref": "#/$defs/pump"}, "#/$defs/pump is nothing in this schema"),
        ({"type": "array", "items": {"$ref": "#/$defs/pump"}, "$defs": {}}, "#/$defs/pump"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "http://127.0.0.1:9/schema.json"),
        ({"properties": {"a": {"$dynamicRef": "#nowhere"}}}, "#nowhere"),
    ],
)
def test_what_is_no_schema_is_refused(schema: JsonObject, said: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        check_schema(schema)
    assert said in refused.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"pump": {"$ref": "#/$defs/pump"}},
            "$defs": {"pump": {"type": "string"}},
        },
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"type": "object", "default": {"$ref": "#/nothing"}},
        {"$ref": "#"},
    ],
)
def test_what_points_into_itself_is_taken(schema: JsonObject) -> None:
    check_schema(schema)
