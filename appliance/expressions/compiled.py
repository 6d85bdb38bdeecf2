"""What every compiled text has in common."""

from typing import Any

from pydantic_core import CoreSchema, core_schema


class Compiled:
    """Made from ``source``, equal when that is equal, and dumped as that.

    ``names``: ``root`` or ``root.key`` of everything that must be there; ``guarded``: of what may be missing,
    because it is used under ``|default`` or ``is defined`` only.
    """

    __slots__ = ("guarded", "names", "source")

    source: Any
    names: frozenset[str]
    guarded: frozenset[str]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(other.source == self.source)

    def __hash__(self) -> int:
        return hash(repr(self.source))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        """Only for pydantic to dump a field's default; what is read is declared in ``fields``."""
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.source)
        )
