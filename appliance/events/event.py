"""What every typed event is: plain values with a stable name."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonMapping, JsonObject


class UnknownEvent(MillwrightError):
    """A type or a shape that is not in the catalogue."""

    code = "events.unknown"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Fields are plain JSON values; ``type`` is its stable name."""

    type: ClassVar[str] = ""

    @property
    def subject(self) -> str:
        """What it is about, as a path: ``run/0190…``; screens filter by its first part."""
        return "box"

    def to_json(self) -> JsonObject:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, data: JsonMapping) -> Self:
        """The event of its JSON form; fields that a newer version added are ignored."""
        known: dict[str, Any] = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        try:
            return cls(**known)
        except TypeError as error:
            raise UnknownEvent(f"the data do not fit an event of type {cls.type}") from error
