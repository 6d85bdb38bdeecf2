"""The type of a plain JSON value."""

from collections.abc import Mapping

JsonScalar = str | int | float | bool | None
JsonValue = JsonScalar | list["JsonValue"] | dict[str, "JsonValue"]
JsonObject = dict[str, JsonValue]
JsonMapping = Mapping[str, JsonValue]
