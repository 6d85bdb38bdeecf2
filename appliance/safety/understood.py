"""What the command of an action will do, and which programs it will run: for the gate, the audit and the run page."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue
from appliance.safety.commands import (
    CommandClass,
    Plan,
    Understanding,
    plan,
    strictest,
    understand,
    understand_argv,
)
from appliance.safety.commands.binaries import PATH_FOLDERS, combined
from appliance.safety.commands.domain import SCRIPTED

IN_CONTAINER = "docker"
"""The ``sandbox`` of a ``shell`` step whose command runs in a container."""
_ELSEWHERE = "it runs in a container, whose programs are those of its image and not checked"


@dataclass(frozen=True, slots=True)
class Understood:
    """``plan`` is None where the programs are not those of this machine: then it is at least a change."""

    understanding: Understanding
    plan: Plan | None = None
    elsewhere: bool = False

    @property
    def kind(self) -> CommandClass:
        """The class that rules of the policy see as ``command.class``."""
        floor = CommandClass.CHANGE if self.elsewhere else CommandClass.READ
        kind = combined(self.understanding, self.plan) if self.plan else self.understanding.kind
        return strictest((floor, kind))

    @property
    def reasons(self) -> tuple[str, ...]:
        if self.plan and self.plan.untrusted and self.kind is CommandClass.UNKNOWN:
            return (*self.plan.untrusted, *self.understanding.reasons)
        if self.kind is not self.understanding.kind:
            return (_ELSEWHERE, *self.understanding.reasons)
        return self.understanding.reasons

    def as_json(self) -> JsonObject:
        """``{"class", "reasons", "leaves", "plan"?}``, as the audit keeps it with the intent."""
        said = self.understanding.as_json()
        said["class"], said["reasons"] = self.kind.value, list(self.reasons)
        if self.plan:
            said["plan"] = self.plan.as_json()
        return said

    def in_short(self) -> JsonObject:
        """Class and reasons, for the run page."""
        return {"class": self.kind.value, "reasons": list(self.reasons[:5])}


def understand_action(kind: str, arguments: JsonMapping) -> Understood | None:
    """What an action's command does, with its values filled in; None for kinds without one. Never raises."""
    if kind not in SCRIPTED:
        return None
    variables = _environment(arguments)
    here = _is_here(kind, arguments)
    understanding = _understanding(arguments, variables, here=here)
    if not here:
        return Understood(understanding, elsewhere=True)
    path = variables.get("PATH")
    folders = path.split(":") if isinstance(path, str) else PATH_FOLDERS
    return Understood(understanding, plan(understanding, folders))


def classify(kind: str, arguments: JsonMapping) -> tuple[CommandClass, tuple[str, ...]]:
    """As ``in_brief`` of the action's command, whatever programs this machine has: the same answer everywhere."""
    if kind not in SCRIPTED:
        return CommandClass.UNKNOWN, ()
    here = _is_here(kind, arguments)
    understanding = _understanding(arguments, _environment(arguments), here=here)
    return in_brief(Understood(understanding, elsewhere=not here))


def in_brief(found: Understood | None) -> tuple[CommandClass, tuple[str, ...]]:
    """The class of a command and the programs that it runs, wrappers included, for rules of the policy."""
    if found is None:
        return CommandClass.UNKNOWN, ()
    names = (n for leaf in found.understanding.leaves for n in (*leaf.wrappers, leaf.program) if n)
    return found.kind, tuple(dict.fromkeys(name.rpartition("/")[2] for name in names))


def _is_here(kind: str, arguments: JsonMapping) -> bool:
    """Whether the command's programs are those of this machine."""
    return kind == "shell" and arguments.get("sandbox") != IN_CONTAINER


def _understanding(arguments: JsonMapping, environment: Iterable[str], *, here: bool) -> Understanding:
    command, args = arguments.get("command"), arguments.get("args")
    if isinstance(command, dict):
        script, values = str(command.get("script", "")), _texts(command.get("arguments"))
        return understand(script, values, environment, here=here)
    if isinstance(command, str):
        return understand(command, [], environment, here=here)
    return understand_argv(_texts(command if isinstance(command, list) else args), environment, here=here)


def _texts(value: JsonValue) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _environment(arguments: JsonMapping) -> JsonMapping:
    given = arguments.get("env")
    return given if isinstance(given, dict) else {}
