"""Names, and the parts of what they stand for: ``payload.value``, ``lines[0]``, ``text[:20]``."""

from typing import Any

from jinja2 import nodes

from appliance.expressions.compiler import Compiler, Rules, place
from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import DEEPEST_TREE
from appliance.expressions.run import Compute, Missing, Run
from appliance.expressions.values import is_whole, type_name
from appliance.lib.said import say

Key = str | int

OPTIONAL_ROOTS = frozenset({"previous", "cache"})
"""Names of which any part may be absent: that is an ordinary answer, none."""

_ABSENT = object()


def unwind(node: nodes.Node) -> tuple[nodes.Node, tuple[Key, ...]]:
    """``a.b[0].c`` as its innermost node and the constant keys after it."""
    keys: list[Key] = []
    while True:
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif isinstance(node, nodes.Getitem) and _is_key(node.arg):
            keys.append(node.arg.as_const())
        else:
            return node, tuple(reversed(keys))
        node = node.node


def is_optional(compiler: Compiler, node: nodes.Node) -> bool:
    """Whether this leads into ``previous`` or ``cache``."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return isinstance(node, nodes.Name) and node.name in OPTIONAL_ROOTS and node.name not in compiler.bound


def _is_key(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and (isinstance(node.value, str) or is_whole(node.value))


def _access(compiler: Compiler, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> Compute:
    inner, keys = unwind(node)
    if len(keys) > DEEPEST_TREE:
        raise ExpressionError(
            say("more than %(deepest_tree)s parts of parts", deepest_tree=DEEPEST_TREE), place(node)
        )
    optional = is_optional(compiler, node)
    if isinstance(inner, nodes.Name):
        first = f".{keys[0]}" if keys and isinstance(keys[0], str) else ""
        compiler.use(inner.name + first, inner.lineno)
        return _path(inner.name, keys, inner.lineno, optional=optional, local=inner.name in compiler.bound)
    if keys:
        base, at = compiler.compute(inner), place(node)

        def walk(run: Run) -> Any:
            return _walk(base(run), "this", keys, at, optional)

        return walk
    assert isinstance(node, nodes.Getitem)
    return _slice(compiler, node) if isinstance(node.arg, nodes.Slice) else _item(compiler, node, optional)


def _path(root: str, keys: tuple[Key, ...], at: int, *, optional: bool, local: bool) -> Compute:
    """The value at a path. The common cases are one line each: this is the hot path of every trigger."""

    def general(run: Run) -> Any:
        value = (run.locals if local else run.scope).get(root, _ABSENT)
        if value is _ABSENT:
            if optional:
                return {} if root == "cache" and not keys else None
            return Missing(f"{root} is not defined", at)
        return _walk(value, root, keys, at, optional)

    if local or not 0 < len(keys) <= 2 or root == "cache":
        return general
    key, last = keys[0], keys[-1]

    def one(run: Run) -> Any:
        try:
            return run.scope[root][key]
        except (LookupError, TypeError):
            return general(run)

    def two(run: Run) -> Any:
        try:
            return run.scope[root][key][last]
        except (LookupError, TypeError):
            return general(run)

    return one if len(keys) == 1 else two


def _walk(value: Any, path: str, keys: tuple[Key, ...], at: int, optional: bool) -> Any:
    for key in keys:
        if value.__class__ is Missing:
            return value
        found = _part(value, key)
        whole = f"{path}.{key}" if isinstance(key, str) else f"{path}[{key}]"
        if found is _ABSENT:
            if optional:
                return None
            why = "" if isinstance(value, dict) else f": {path} is {type_name(value)}"
            if isinstance(value, list | str) and isinstance(key, int):
                why = f": {path} has {len(value)} parts"
            return Missing(f"{whole} is not defined{why}", at)
        value, path = found, whole
    return value


def _part(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        if key in value:
            return value[key]
        return len(value) if key == "length" else _ABSENT
    if isinstance(value, str | list):
        if isinstance(key, int):
            return value[key] if -len(value) <= key < len(value) else _ABSENT
        return len(value) if key == "length" else _ABSENT
    return _ABSENT


def _item(compiler: Compiler, node: nodes.Getitem, optional: bool) -> Compute:
    base, key, start, at = compiler.compute(node.node), compiler.value(node.arg), place(node), place(node.arg)

    def item(run: Run) -> Any:
        value, wanted = base(run), key(run)
        if not (isinstance(wanted, str) or is_whole(wanted)):
            raise ExpressionError(
                say("[ ] needs text or a whole number, not %(kind)s", kind=type_name(wanted)), at
            )
        return _walk(value, "this", (wanted,), start, optional)

    return item


def _slice(compiler: Compiler, node: nodes.Getitem) -> Compute:
    assert isinstance(node.arg, nodes.Slice)
    base, at = compiler.value(node.node), place(node)
    ends = [compiler.value(end) if end else None for end in (node.arg.start, node.arg.stop, node.arg.step)]

    def part(run: Run) -> Any:
        value, wanted = base(run), [end(run) if end else None for end in ends]
        if not isinstance(value, str | list):
            raise ExpressionError(
                say("[from:to] needs a text or a list, not %(kind)s", kind=type_name(value)), at
            )
        if not all(end is None or is_whole(end) for end in wanted) or wanted[2] == 0:
            raise ExpressionError(say("[from:to:step] needs whole numbers, and a step that is not 0"), at)
        run.pay(value)
        return value[slice(*wanted)]

    return part


RULES: Rules = {nodes.Name: _access, nodes.Getattr: _access, nodes.Getitem: _access}
