"""Whether a value fits a JSON schema, with a validator that is made once. It opens no address."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonObject, JsonValue

if TYPE_CHECKING:
    import jsonschema


def misfit(schema: JsonObject, value: JsonValue) -> "jsonschema.ValidationError | None":
    """What of ``value`` does not fit, the most telling of all that does not; None where it fits.

    Raises ValueError where ``schema`` is none, or points at what is not in it.
    """
    # At first use, as below: most processes never look at one.
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        return best_match(_validator(canonical_json(schema)).iter_errors(value))
    except Unresolvable as error:
        raise ValueError(f"the schema points at {error.ref!r}, which is not in it") from error


def place_of(wrong: "jsonschema.ValidationError", whole: str = "the arguments") -> str:
    """Where in the value, as in ``parts.2.name``; ``whole`` where it is about all of it."""
    return ".".join(map(str, wrong.absolute_path)) or whole


@lru_cache(maxsize=64)
def _validator(schema: bytes) -> "jsonschema.protocols.Validator":
    """Looking whether it is a schema takes longer than what it is asked for. With a registry of nothing, what a schema
    points at is not fetched."""
    import jsonschema
    from referencing import Registry

    read = json.loads(schema)
    kind = jsonschema.validators.validator_for(read, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(read)
    except jsonschema.SchemaError as error:
        raise ValueError(f"it is no JSON schema: {error.message}") from error
    return kind(read, registry=Registry())
