"""The syntax tree, checked against a closed list of nodes, compiled to closures over plain JSON values.

Nothing is ever evaluated as Python: a node without a rule is refused when the text is saved.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import DEEPEST_TREE
from appliance.expressions.run import Compute, need
from appliance.lib.said import say

Rule = Callable[["Compiler", Any], Compute]
Rules = Mapping[type[nodes.Node], Rule]

_MAY_BE_MISSING = (nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.CondExpr)
_LEFTMOST = ("left", "expr", "expr1", "node")


class Compiler:
    """Compiles the expressions of one text and collects the names that they use, with their first place."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._depth = 0
        self.size = 0
        """Nodes compiled so far: what one round of a loop costs."""
        self.bound: list[str] = []
        """The names that the ``{% for %}`` around this place bind."""
        self.guards = 0
        """How many ``|default`` and ``is defined`` are around this place."""
        self.needed: dict[str, int] = {}
        self.guarded: dict[str, int] = {}

    def compute(self, node: nodes.Node) -> Compute:
        """What computes ``node``; it may give Missing."""
        rule = self._rules.get(type(node))
        if rule is None:
            word = type(node).__name__.lower()
            raise ExpressionError(say("this (%(word)s) is not part of the language", word=word), place(node))
        self._depth += 1
        self.size += 1
        if self._depth > DEEPEST_TREE:
            raise ExpressionError(
                say("more than %(deepest_tree)s operations inside one another", deepest_tree=DEEPEST_TREE),
                place(node),
            )
        found = rule(self, node)
        self._depth -= 1
        return found

    def value(self, node: nodes.Node) -> Compute:
        """As ``compute``, for a value that must be there."""
        inner = self.compute(node)
        if not isinstance(node, _MAY_BE_MISSING):
            return inner
        return lambda run: need(inner(run))

    def maybe(self, node: nodes.Node) -> Compute:
        """As ``compute``, where it is no error that a name is missing."""
        self.guards += 1
        found = self.compute(node)
        self.guards -= 1
        return found

    def use(self, name: str, at: int) -> None:
        """Note that ``name`` (``root`` or ``root.key``) is used."""
        if name.partition(".")[0] not in self.bound:
            (self.guarded if self.guards else self.needed).setdefault(name, at)


def place(node: nodes.Node) -> int:
    """Where a node begins: Jinja2 gives an operation the place of some token in it, not of its first."""
    at = node.lineno
    while True:
        if isinstance(node, nodes.Concat):
            first: Any = node.nodes[0]
        else:
            first = next((part for name in _LEFTMOST if (part := getattr(node, name, None))), None)
        if not isinstance(first, nodes.Node):
            return at
        node = first
        at = min(at, node.lineno)
