"""Finds every tool, and which of them a step names."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from appliance.agent.domain import Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.fitting import unfit
from appliance.agent.tools.contract import Tool
from appliance.lib.glob import Glob
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.issues import suggestion_or_list

_NOT_TOOLS = frozenset({"contract", "registry"})
_PACKAGE = "appliance.agent.tools"
REMOTE = "mcp."
"""What the names of other servers' tools begin with."""
_REMOTE = re.compile(r"mcp\.(?:\*|[a-z][a-z0-9_-]{0,31}\.[A-Za-z0-9_.$*-]{1,64})")
TEMPLATE = re.compile(r"\{\{|\{%|\{#")


@cache
def tools() -> dict[str, Tool[Any]]:
    """Every tool by its name."""
    found: dict[str, Tool[Any]] = {}
    for module in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__):
        if module.name in _NOT_TOOLS:
            continue
        for _, member in inspect.getmembers(
            importlib.import_module(f"{_PACKAGE}.{module.name}"), inspect.isclass
        ):
            own = member.__module__ == f"{_PACKAGE}.{module.name}"
            if own and issubclass(member, Tool) and not inspect.isabstract(member):
                found[member.name] = member()
    return found


UNDO = "undo"
"""Among what an author fixes of a tool: the arguments that take a call back."""


def named(written: Iterable[str | Mapping[str, JsonObject]]) -> dict[str, JsonObject]:
    """The tools that a step names, each with what its author has fixed. Raises ToolUnknown.

    Those of other servers stay as they are written: what they are is known when the step begins.
    """
    found: dict[str, JsonObject] = {}
    for name, fixed in _each(written):
        own = {key: value for key, value in fixed.items() if key != UNDO}
        found[name] = {**found.get(name, {}), **own}
    return found


def undos(written: Iterable[str | Mapping[str, JsonObject]]) -> dict[str, JsonObject]:
    """The tools of a step whose calls can be taken back, each with the arguments that do. Raises ToolUnknown."""
    return {name: _back(name, fixed[UNDO]) for name, fixed in _each(written) if UNDO in fixed}


def _back(name: str, value: JsonValue) -> JsonObject:
    if not isinstance(value, dict) or not value:
        raise ToolUnknown(
            f"the tool `{name}`: undo is a mapping of arguments",
            hint="as in {mqtt: {topic: plant/lamp, undo: {payload: off}}}",
        )
    return value


def _each(
    written: Iterable[str | Mapping[str, JsonObject]],
) -> Iterator[tuple[str, JsonObject]]:
    for one in written:
        for pattern, fixed in ({one: {}} if isinstance(one, str) else one).items():
            for name in _matching(pattern):
                yield name, fixed


def check_undo(found: Mapping[str, JsonObject]) -> None:
    """Whether what takes calls back changes something, and fits. Raises ToolUnknown."""
    for name, back in found.items():
        _literal(name, back)
        if name.startswith(REMOTE):
            if "*" in name:
                raise ToolUnknown(f"`{name}`: undo is said of one tool", hint="mcp.SERVER.TOOL, by its name")
            continue
        if tools()[name].risk is Risk.READ:
            raise ToolUnknown(f"the tool `{name}` only reads: there is nothing to take back")
        _fits(name, back)


def check(found: Mapping[str, JsonObject]) -> None:
    """Whether each has what its author must give, and that fits. Raises ToolUnknown."""
    for name, fixed in found.items():
        _literal(name, fixed)
        if name.startswith(REMOTE):
            continue
        tool = tools()[name]
        missing = tool.must_fix - fixed.keys()
        if missing:
            what = ", ".join(sorted(missing))
            raise ToolUnknown(
                f"the tool `{name}` needs {what} from its author", hint=f"as in {{{name}: {{{what}: …}}}}"
            )
        _fits(name, fixed)


def _literal(name: str, fixed: JsonObject) -> None:
    if any(TEMPLATE.search(text) for text in texts_in(fixed)):
        raise ToolUnknown(
            f"the tool `{name}`: what is fixed is used as it is written, and holds no {{{{ }}}}",
            hint="put what changes from run to run into the goal",
        )


def _fits(name: str, fixed: JsonObject) -> None:
    """Whether these arguments, which may be some of the tool's, are such as it has. Raises ToolUnknown."""
    tool = tools()[name]
    try:
        tool.arguments.model_validate(fixed)
    except ValidationError as error:
        wrong = unfit(error, tool.arguments, tuple(tool.arguments.model_fields), some=True)
        if wrong is not None:
            message, hint = wrong
            raise ToolUnknown(f"the tool `{name}`: {message}", hint=hint) from error


def texts_in(value: JsonValue) -> Iterator[str]:
    """Every text in it, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts_in(one)


def _matching(pattern: str) -> list[str]:
    if pattern.startswith(REMOTE):
        if not _REMOTE.fullmatch(pattern):
            raise ToolUnknown(
                f"`{pattern}` is no tool of a server", hint="mcp.SERVER.TOOL, or mcp.SERVER.* for all of them"
            )
        return [pattern]
    if "*" not in pattern:
        if pattern not in tools():
            raise ToolUnknown(
                f"there is no tool `{pattern}`", hint=suggestion_or_list(pattern, sorted(tools()))
            )
        return [pattern]
    glob = Glob(pattern)
    found = [name for name in sorted(tools()) if glob.matches(name)]
    if not found:
        raise ToolUnknown(f"no tool is called `{pattern}`", hint=f"there are {', '.join(sorted(tools()))}")
    return found
