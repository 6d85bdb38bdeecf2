"""Trees: JSON values in which every text is a template."""

from typing import Any

from appliance.expressions.compiled import Compiled
from appliance.expressions.errors import ExpressionError
from appliance.expressions.run import Run, Scope, StateReader
from appliance.expressions.template import Template, compile_template
from appliance.lib.jsontypes import JsonValue
from appliance.lib.said import say

DEEPEST = 50
"""Lists and mappings inside one another."""


class Tree(Compiled):
    """A compiled JSON value; keys stay as they are."""

    __slots__ = ("_compiled",)

    def __init__(self, source: JsonValue) -> None:
        """Raises ExpressionError, with the ``path`` of the text that is wrong."""
        self.source = source
        found: list[Template] = []
        self._compiled = _compile(source, found, ())
        self.names = frozenset[str]().union(*(template.names for template in found))
        self.guarded = frozenset[str]().union(*(template.guarded for template in found)) - self.names

    def render(self, scope: Scope, *, state: StateReader | None = None) -> JsonValue:
        """A new value with every text rendered. All of them share one budget. Raises ExpressionError."""
        value: JsonValue = _render(self._compiled, Run(scope, state), ())
        return value


def compile_tree(value: JsonValue) -> Tree:
    """Compile every text inside a JSON value. Raises ExpressionError."""
    return Tree(value)


def _compile(value: Any, found: list[Template], path: tuple[str | int, ...]) -> Any:
    if len(path) > DEEPEST:
        raise ExpressionError(
            say("more than %(deepest)s lists and mappings inside one another", deepest=DEEPEST), 0
        )
    if isinstance(value, str):
        try:
            template = compile_template(value)
        except ExpressionError as error:
            error.path = path
            raise
        found.append(template)
        return value if template.is_literal else template
    if isinstance(value, list | tuple):
        return [_compile(item, found, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {str(key): _compile(item, found, (*path, str(key))) for key, item in value.items()}
    return value


def _render(value: Any, run: Run, path: tuple[str | int, ...]) -> Any:
    if isinstance(value, Template):
        try:
            return value.compute(run)
        except ExpressionError as error:
            error.path = path
            raise
    if isinstance(value, list):
        return [_render(item, run, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _render(item, run, (*path, key)) for key, item in value.items()}
    return value
