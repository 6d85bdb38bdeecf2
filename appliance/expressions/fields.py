"""Field types for pydantic models: text in the file, a compiled template in the model, text again when dumped.

What cannot be read is a validation error of the type ``expression``. Its context has ``message``, ``hint``,
``offset`` (characters into the text) and ``path`` (to that text inside a tree), so that the loader of a file
can point to line and column.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from appliance.expressions.errors import ExpressionError
from appliance.expressions.shell import ShellTemplate, compile_shell
from appliance.expressions.template import Template, compile_condition, compile_template
from appliance.expressions.tree import Tree, compile_tree
from appliance.lib.said import say

_COMPILED = (Template, Tree, ShellTemplate)
_SOURCE = PlainSerializer(lambda value: value.source)
_SCALARS = (str, int, float)


def _reading(read: Callable[[Any], Any], kinds: tuple[type, ...], expected: str) -> PlainValidator:
    def validate(value: Any) -> Any:
        if isinstance(value, _COMPILED):
            return value
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise PydanticCustomError("template_type", "expected {expected}", {"expected": expected})
        try:
            return read(value)
        except ExpressionError as error:
            raise PydanticCustomError(
                "expression",
                "{message}",
                {
                    "message": error.message,
                    "offset": max(error.offset, 0),
                    "hint": error.hint or "",
                    "path": list(error.path),
                },
            ) from error

    return PlainValidator(validate)


def _schema(description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description})


TemplateField = Annotated[
    Template,
    _reading(
        lambda value: compile_template(str(value)), _SCALARS, say("text (expressions in {{ }} allowed)")
    ),
    _SOURCE,
    _schema("text; {{ }} allowed"),
]
"""Renders to the value itself where the text is one ``{{ }}``."""

TextField = Annotated[
    Template,
    _reading(
        lambda value: compile_template(str(value), as_text=True),
        _SCALARS,
        say("text (expressions in {{ }} allowed)"),
    ),
    _SOURCE,
    _schema("text; {{ }} allowed"),
]
"""Renders to text always."""

MessageField = Annotated[
    Template,
    _reading(
        lambda value: compile_template(str(value), blocks=True, as_text=True),
        _SCALARS,
        say("text ({{ }}, {% if %} and {% for %} allowed)"),
    ),
    _SOURCE,
    _schema("text; {{ }}, {% if %} and {% for %} allowed"),
]
"""What people read: renders to text always."""

ConditionField = Annotated[
    Template,
    _reading(compile_condition, (str,), say('a condition such as "{{ payload.value > 80 }}"')),
    _SOURCE,
    _schema("one expression in {{ }}"),
]

TreeField = Annotated[
    Tree,
    _reading(compile_tree, (*_SCALARS, bool, list, tuple, dict, type(None)), say("a value")),
    _SOURCE,
    WithJsonSchema({"description": "any value; {{ }} allowed in every text"}),
]

ShellField = Annotated[
    ShellTemplate,
    _reading(compile_shell, (str,), say("the text of a command")),
    _SOURCE,
    _schema("a command; each {{ }} becomes a positional parameter"),
]


def names_in(value: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a value's templates need, and those that may be missing; looks into models and lists."""
    if isinstance(value, _COMPILED):
        return value.names, value.guarded
    parts: list[Any] = []
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif hasattr(type(value), "model_fields"):
        parts = [getattr(value, name) for name in type(value).model_fields]
    found = [names_in(part) for part in parts]
    names = frozenset[str]().union(*(needed for needed, _ in found))
    return names, frozenset[str]().union(*(guarded for _, guarded in found)) - names
