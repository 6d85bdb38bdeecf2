"""What rules look at: facts known from the task alone, and those of one action."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from appliance.accounts.domain import Role
from appliance.lib.jsontypes import JsonMapping, JsonValue
from appliance.safety.commands.domain import SCRIPTED, CommandClass
from appliance.safety.policy.origins import counts_alone, judged

Classify = Callable[[str, JsonMapping], tuple[CommandClass, tuple[str, ...]]]
"""(kind, arguments) -> what the command does, and the programs that it runs. Never raises."""


@dataclass(frozen=True, slots=True)
class Static:
    """Known before a run of a task begins, so that it is decided on once per task and policy version.

    ``also`` are the origins of what led to the run: it is judged by each of them, and by its own ``origin`` first.
    """

    kind: str
    origin: str
    task: str
    principal: str
    also: tuple[str, ...] = ()

    @property
    def origins(self) -> tuple[str, ...]:
        """All that it is judged by."""
        return judged((self.origin, *self.also))

    @property
    def each(self) -> tuple["Static", ...]:
        """It as seen from each of its origins alone: what rules are tested with."""
        if not self.also and counts_alone(self.origin):
            return (self,)
        return tuple(replace(self, origin=one, also=()) for one in self.origins)


@dataclass(slots=True)
class Facts:
    """One action. ``role`` is what its principal may be here and now; ``at`` has a zone."""

    kind: str
    arguments: JsonMapping
    role: Role
    at: datetime
    classify: Classify
    _command: tuple[CommandClass, tuple[str, ...]] | None = field(default=None, repr=False)
    _texts: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def command(self) -> tuple[CommandClass, tuple[str, ...]] | None:
        """Read at most once, and only for a rule that looks at it. None: this kind has no command."""
        if self._command is None and self.kind in SCRIPTED:
            self._command = self.classify(self.kind, self.arguments)
        return self._command

    def texts(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The plain values of arguments at a path, found once."""
        found = self._texts.get(path)
        if found is None:
            found = self._texts[path] = texts_at(self.arguments, path)
        return found

    @property
    def topic(self) -> str | None:
        topic = self.arguments.get("topic") if self.kind == "mqtt" else None
        return topic if isinstance(topic, str) else None

    @property
    def device(self) -> str | None:
        device = self.arguments.get("device")
        return device if isinstance(device, str) else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the stored secrets that the action uses."""
        named = self.arguments.get("secrets")
        return tuple(str(name) for name in named) if isinstance(named, dict | list) else ()


def texts_at(arguments: JsonMapping, path: tuple[str, ...]) -> tuple[str, ...]:
    """The plain values at a dotted path as texts; of a list, those of its members, however deep."""
    first, *deeper = path
    value = arguments.get(first)
    if isinstance(value, str) and not deeper:
        return (value,)
    found: list[JsonValue] = [value] if first in arguments else []
    for name in deeper:
        found = [one[name] for one in _members(found) if isinstance(one, dict) and name in one]
    return tuple(_plain(one) for one in _members(found) if not isinstance(one, dict | list))


def _members(values: list[JsonValue]) -> list[JsonValue]:
    flat: list[JsonValue] = []
    for value in values:
        if isinstance(value, list):
            flat += _members(value)
        else:
            flat.append(value)
    return flat


def _plain(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
