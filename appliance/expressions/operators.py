"""Literals, arithmetic, comparison, logic."""

from typing import Any

from jinja2 import nodes

from appliance.expressions.compiler import Compiler, Rules, place
from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import LONGEST_TEXT
from appliance.expressions.run import Compute, Run
from appliance.expressions.values import (
    arithmetic,
    comparison,
    is_number,
    to_text,
    too_long,
    truth,
    type_name,
)
from appliance.lib.said import say

_DEEP = frozenset({str, list, dict})
_JOINABLE = frozenset({str, list})
_NEVER_NUMBERS = (nodes.List, nodes.Tuple, nodes.Dict, nodes.Concat, nodes.Compare, nodes.Not, nodes.Test)


def _const(compiler: Compiler, node: nodes.Const) -> Compute:
    value = node.value
    return lambda run: value


def _list(compiler: Compiler, node: nodes.List | nodes.Tuple) -> Compute:
    items = [compiler.value(item) for item in node.items]
    return lambda run: [item(run) for item in items]


def _dict(compiler: Compiler, node: nodes.Dict) -> Compute:
    pairs = [(_key(pair.key), compiler.value(pair.value)) for pair in node.items]
    return lambda run: {key: value(run) for key, value in pairs}


def _key(node: nodes.Expr) -> str:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return node.value
    raise ExpressionError(say("the key of a mapping is a text in quotes"), place(node))


def _binary(compiler: Compiler, node: nodes.BinExpr) -> Compute:
    kind = type(node).__name__
    apply, at = arithmetic(kind), place(node)
    for side in (node.left, node.right):
        if kind != "Add" and _is_no_number(side):
            # It cannot work whatever the values are: say so when the text is saved.
            raise ExpressionError(
                say("%(operator)s takes numbers only", operator=node.operator),
                at,
                hint=say("join texts with ~"),
            )
    left, right = compiler.value(node.left), compiler.value(node.right)

    def binary(run: Run) -> Any:
        first, second = left(run), right(run)
        try:
            if first.__class__ in _JOINABLE:
                run.pay(first)
                run.pay(second)
            return apply(first, second)
        except ExpressionError as error:
            error.locate(at)
            raise

    return binary


def _is_no_number(node: nodes.Expr) -> bool:
    return isinstance(node, _NEVER_NUMBERS) or (isinstance(node, nodes.Const) and not is_number(node.value))


def _and(compiler: Compiler, node: nodes.And) -> Compute:
    left, right = compiler.value(node.left), compiler.value(node.right)
    return lambda run: right(run) if truth(found := left(run)) else found


def _or(compiler: Compiler, node: nodes.Or) -> Compute:
    left, right = compiler.value(node.left), compiler.value(node.right)
    return lambda run: found if truth(found := left(run)) else right(run)


def _not(compiler: Compiler, node: nodes.Not) -> Compute:
    inner = compiler.value(node.node)
    return lambda run: not truth(inner(run))


def _sign(compiler: Compiler, node: nodes.UnaryExpr) -> Compute:
    inner, negative, at = compiler.value(node.node), isinstance(node, nodes.Neg), node.lineno

    def sign(run: Run) -> Any:
        value = inner(run)
        if not is_number(value):
            raise ExpressionError(say("a sign needs a number, not %(kind)s", kind=type_name(value)), at)
        return -value if negative else value

    return sign


def _compare(compiler: Compiler, node: nodes.Compare) -> Compute:
    first, at = compiler.value(node.expr), place(node)
    rest = [(comparison(part.op), compiler.value(part.expr)) for part in node.ops]
    apply, second = rest[0]

    def single(run: Run) -> bool:
        left, right = first(run), second(run)
        try:
            if right.__class__ in _DEEP:
                run.look_at(right)
            return apply(left, right)
        except ExpressionError as error:
            error.locate(at)
            raise

    def chain(run: Run) -> bool:
        left = first(run)
        try:
            for apply, following in rest:
                right = following(run)
                run.look_at(right)
                if not apply(left, right):
                    return False
                left = right
        except ExpressionError as error:
            error.locate(at)
            raise
        return True

    return single if len(rest) == 1 else chain


def _concat(compiler: Compiler, node: nodes.Concat) -> Compute:
    return joined([compiler.value(part) for part in node.nodes], place(node))


def joined(parts: list[Compute], at: int) -> Compute:
    """The texts of the parts one after another, as long as they stay within the limits."""

    def concat(run: Run) -> str:
        texts, total = [], 0
        try:
            for part in parts:
                text = value if (value := part(run)).__class__ is str else text_of(value, run)
                total += len(text)
                if total > LONGEST_TEXT:
                    raise too_long()
                texts.append(text)
            if total > 1000:
                run.spend(total // 32)
        except ExpressionError as error:
            error.locate(at)
            raise
        return "".join(texts)

    return concat


def text_of(value: Any, run: Run) -> str:
    """``to_text`` that pays for what it looks at."""
    if isinstance(value, list | dict):
        run.look_at(value)
    return to_text(value)


def _conditional(compiler: Compiler, node: nodes.CondExpr) -> Compute:
    test, then = compiler.value(node.test), compiler.compute(node.expr1)
    otherwise: Compute = compiler.compute(node.expr2) if node.expr2 else (lambda run: None)
    return lambda run: then(run) if truth(test(run)) else otherwise(run)


RULES: Rules = {
    nodes.Const: _const,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _dict,
    nodes.Add: _binary,
    nodes.Sub: _binary,
    nodes.Mul: _binary,
    nodes.Div: _binary,
    nodes.FloorDiv: _binary,
    nodes.Mod: _binary,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.Neg: _sign,
    nodes.Pos: _sign,
    nodes.Compare: _compare,
    nodes.Concat: _concat,
    nodes.CondExpr: _conditional,
}
