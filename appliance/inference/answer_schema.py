"""Whether a JSON schema for a model's answers is one: before any model is asked, and without the network."""

from collections.abc import Iterator
from typing import Any

from appliance.inference.errors import ModelRefused
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say

_REFERENCES = ("$ref", "$dynamicRef")
_DATA = frozenset({"const", "default", "enum", "examples"})
"""What stands under these is no schema, whatever it looks like."""


def check_schema(schema: JsonObject) -> None:
    """Raises ModelRefused where it is none, or points at what it does not hold."""
    import jsonschema

    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema, format_checker=kind.FORMAT_CHECKER)
    except jsonschema.SchemaError as error:
        raise ModelRefused(say("this is no JSON schema: %(said)s", said=error.message)) from error
    _check_references(schema)


def _check_references(schema: JsonObject) -> None:
    """A schema from elsewhere would be fetched with each answer, from wherever its author says."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resource = DRAFT202012.create_resource(schema)
    resolver = Registry().with_resource("", resource).resolver()
    for reference in _references(schema):
        try:
            if not reference.startswith("#"):
                raise Unresolvable(ref=reference)
            resolver.lookup(reference)
        except Unresolvable as error:
            raise ModelRefused(
                say("%(ref)s is nothing in this schema", ref=reference),
                hint=say("a $ref begins with #, and points into the same schema"),
            ) from error


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[key] for key in _REFERENCES if isinstance(value.get(key), str))
        for key, one in value.items():
            if key not in _DATA:
                yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)
