"""What has a name and takes arguments: filters, tests, and ``state()``. There is no other call."""

from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from jinja2 import nodes

from appliance.expressions.compiler import Compiler, Rules, place
from appliance.expressions.errors import ExpressionError
from appliance.expressions.filters import FILTERS, TESTS
from appliance.expressions.paths import is_optional
from appliance.expressions.run import Compute, Missing, Run
from appliance.expressions.values import bounded, truth, type_name
from appliance.lib.duration import DurationError, parse_duration
from appliance.lib.said import say

_STATE = "state('plant/line1/mode', max_age='10s')"


def _suggest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name[:60], names, 1)
    if near:
        return say("did you mean %(near)s?", near=near[0])
    return say("there are: %(names)s", names=", ".join(names))


def _arguments(compiler: Compiler, node: nodes.Filter | nodes.Test, least: int, most: int) -> list[Compute]:
    if node.kwargs or node.dyn_args or node.dyn_kwargs:
        raise ExpressionError(
            say("%(name)s takes its arguments in order, without names", name=node.name), node.lineno
        )
    if not least <= len(node.args) <= most:
        wanted = str(least) if least == most else say("%(least)s to %(most)s", least=least, most=most)
        raise ExpressionError(
            say(
                "%(name)s takes %(wanted)s arguments, not %(count)s",
                name=node.name,
                wanted=wanted,
                count=len(node.args),
            ),
            node.lineno,
        )
    return [compiler.value(argument) for argument in node.args]


def _filter(compiler: Compiler, node: nodes.Filter) -> Compute:
    assert node.node is not None
    name, at = node.name, node.lineno
    if name == "default":
        return _default(compiler, node)
    known = FILTERS.get(name)
    if known is None:
        raise ExpressionError(
            say("there is no filter %(name)s", name=name), at, hint=_suggest(name, [*FILTERS, "default"])
        )
    inner, arguments = compiler.value(node.node), _arguments(compiler, node, known.least, known.most)
    apply, effort = known.apply, known.effort

    def compute(run: Run) -> Any:
        value, given = inner(run), [argument(run) for argument in arguments]
        try:
            for _ in range(effort):
                run.look_at(value)
            found = apply(value, *given)
            if found.__class__ is Missing:
                found.at = at
            run.pay(found)
            return bounded(found)
        except ExpressionError as error:
            if error.offset < 0:
                error.message = f"|{name}: {error.message}"
                error.locate(at)
            raise

    return compute


def _default(compiler: Compiler, node: nodes.Filter) -> Compute:
    """``|default(x)`` where the value is missing or none; ``|default(x, true)`` where it is empty, too."""
    assert node.node is not None
    inner = compiler.maybe(node.node)
    arguments = _arguments(compiler, node, 0, 2)
    fallback: Compute = arguments[0] if arguments else (lambda run: "")
    empty: Compute = arguments[1] if len(arguments) > 1 else (lambda run: False)

    def compute(run: Run) -> Any:
        value = inner(run)
        if value is None or value.__class__ is Missing or (not truth(value) and truth(empty(run))):
            return fallback(run)
        return value

    return compute


def _test(compiler: Compiler, node: nodes.Test) -> Compute:
    name, at = node.name, node.lineno
    if name in ("defined", "undefined"):
        _arguments(compiler, node, 0, 0)
        defined = _defined(compiler, node)
        return defined if name == "defined" else lambda run: not defined(run)
    apply = TESTS.get(name)
    if apply is None:
        raise ExpressionError(
            say("there is no test %(name)s", name=name),
            at,
            hint=_suggest(name, [*TESTS, "defined", "undefined"]),
        )
    count = 1 if name == "in" else 0
    value, arguments = compiler.value(node.node), _arguments(compiler, node, count, count)

    def compute(run: Run) -> bool:
        given = [argument(run) for argument in arguments]
        try:
            for argument in given:
                run.look_at(argument)
            return apply(value(run), *given)
        except ExpressionError as error:
            error.locate(at)
            raise

    return compute


def _defined(compiler: Compiler, node: nodes.Test) -> Compute:
    """Whether a name is there; for those that may always be absent, whether they are not none."""
    inner, optional = compiler.maybe(node.node), is_optional(compiler, node.node)

    def compute(run: Run) -> bool:
        value = inner(run)
        return value.__class__ is not Missing and not (optional and value is None)

    return compute


def _call(compiler: Compiler, node: nodes.Call) -> Compute:
    at = place(node)
    if not (isinstance(node.node, nodes.Name) and node.node.name == "state"):
        raise ExpressionError(
            say("only state() can be called"),
            at,
            hint=say("%(state)s; values are changed by |filters, as |upper", state=_STATE),
        )
    named = {keyword.key: keyword.value for keyword in node.kwargs}
    if node.dyn_args or node.dyn_kwargs or not 1 <= len(node.args) + len(named) <= 2 or not node.args:
        raise ExpressionError(
            say("state() takes a topic and max_age"), at, hint=say("as %(state)s", state=_STATE)
        )
    if set(named) - {"max_age"}:
        raise ExpressionError(
            say("state() takes no %(name)s", name=min(set(named) - {"max_age"})),
            at,
            hint=say("as %(state)s", state=_STATE),
        )
    topic = compiler.value(node.args[0])
    age = _age(compiler, named.get("max_age") or (node.args[1] if len(node.args) == 2 else None))

    def compute(run: Run) -> Any:
        wanted, oldest = topic(run), age(run)
        if not isinstance(wanted, str):
            raise ExpressionError(say("state() needs a topic, not %(kind)s", kind=type_name(wanted)), at)
        if run.state is None:
            raise ExpressionError(say("state() cannot be used here"), at)
        run.spend(10)
        try:
            return run.state(wanted, oldest)
        except ExpressionError as error:
            error.locate(at)
            raise

    return compute


def _age(compiler: Compiler, node: nodes.Expr | None) -> Compute:
    """The greatest age as a timedelta; a constant one is checked when the text is saved."""
    if node is None:
        return lambda run: None
    at = place(node)
    if isinstance(node, nodes.Const):
        fixed = _duration(node.value, at)
        return lambda run: fixed
    inner = compiler.value(node)
    return lambda run: _duration(inner(run), at)


def _duration(value: Any, at: int) -> timedelta | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except DurationError as error:
        raise ExpressionError(
            say("max_age: %(message)s", message=error.message), at, hint=error.hint
        ) from error


RULES: Rules = {nodes.Filter: _filter, nodes.Test: _test, nodes.Call: _call}
