"""The gate: the one place that every effect passes, whoever asked for it.

In order: all-stop, refused kinds, the principal's role, the net of patterns. Each is one function that yields
a verdict or nothing. What a command will do is understood last, and kept with the verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Role, lower
from appliance.lib.jsontypes import JsonMapping
from appliance.safety.allstop import of_row
from appliance.safety.patterns import LONGEST, refused
from appliance.safety.stop import AllStop, StopFile
from appliance.safety.understood import SCRIPTED, Understood, understand_action


class Decision(StrEnum):
    ALLOW = "allow"
    HOLD = "hold"
    """Not now: the run waits and asks again."""
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says, why, and by which rule; ``epoch`` is the all-stop's at that moment."""

    outcome: Decision
    reason: str = ""
    rule: str = "default.allow"
    epoch: int = 0
    command: Understood | None = None
    """What the action's command will do, for kinds that have one."""


@dataclass(frozen=True, slots=True)
class Action:
    """The typed action that is decided on: exactly what will be done, with its values filled in.

    ``effect`` is the effect class; ``ceiling`` the most that its task may do; ``principal`` who asked.
    """

    kind: str
    effect: str
    arguments: JsonMapping
    principal: str
    ceiling: str = Role.OPERATOR.value
    run_id: UUID | None = None
    step_id: str = ""
    origin: str = ""
    task: str = ""

    @property
    def pure(self) -> bool:
        return self.effect == "pure"

    @property
    def username(self) -> str | None:
        """The person behind the principal, whose present role counts; None for triggers and the box."""
        kind, _, rest = self.principal.partition(":")
        if kind == "user":
            return rest
        return rest.partition("/")[0] if kind == "token" else None

    @property
    def mqtt_account(self) -> str | None:
        """The MQTT account that gave the command, whose present grant counts; ``*`` is any granted one."""
        kind, _, rest = self.principal.partition(":")
        return rest if kind == "mqtt" and rest else None

    @property
    def who(self) -> dict[str, str | None]:
        """The parameters of ``LOOK``."""
        return {"username": self.username, "account": self.mqtt_account}

    @property
    def has_person(self) -> bool:
        """Whether somebody stands behind it whose present role counts."""
        return self.username is not None or self.mqtt_account is not None


NEEDED_ROLE = {"container": Role.ENGINEER, "sql": Role.ENGINEER, "firmware": Role.ENGINEER}
"""Kinds that need more than an operator; a pure step needs a viewer only."""

LOOK = """
SELECT s.epoch, s.level, s.since, s.by, s.reason,
    CASE WHEN %(account)s::text IS NULL
    THEN (SELECT u.role FROM accounts_user u WHERE u.username = %(username)s AND u.is_active)
    ELSE (SELECT g.role FROM accounts_mqttgrant g WHERE g.account = %(account)s OR %(account)s = '*'
        ORDER BY array_position(ARRAY['viewer', 'operator', 'engineer', 'admin'], g.role::text) LIMIT 1) END AS role
FROM (SELECT 1) AS one LEFT JOIN safety_allstop s ON s.id = 1
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What the gate decides on besides the action: the switch, and the present role of the person behind it."""

    stop: AllStop = field(default_factory=AllStop)
    role: Role | None = None

    @classmethod
    def of_row(cls, row: Sequence[Any] | None) -> "Look":
        """Of a row of ``LOOK``."""
        return cls(of_row(row[:5] if row else None), Role(row[5]) if row and row[5] else None)


class Gate:
    """Decides on actions. One statement, one stat, no cache: a stop engaged a moment ago counts."""

    def __init__(self, home: Path, denied_kinds: frozenset[str] = frozenset()) -> None:
        self._file = StopFile(home)
        self._denied_kinds = denied_kinds

    async def pass_(self, connection: AsyncConnection[Any], action: Action) -> Verdict:
        """The verdict on ``action``, read in the caller's transaction, which also commits its intent."""
        look = await self.look(connection, action)
        return self.decide(action, look.stop, look.role)

    async def look(self, connection: AsyncConnection[Any], action: Action) -> Look:
        """Read what to decide on. Who writes on the strength of it must find it unchanged (``LOOK``) at that moment."""
        cursor = await connection.cursor(row_factory=tuple_row).execute(LOOK, action.who)
        return Look.of_row(await cursor.fetchone())

    def decide(self, action: Action, stop: AllStop, role: Role | None) -> Verdict:
        """The verdict for a switch that the caller has read already; ``role`` is the person's present one.

        For callers that fold ``allstop.READ`` into a statement of their own. The file is looked at here.
        """
        stop = stop.raised_by_file(self._file.level())
        verdict = (
            _all_stop(action, stop)
            or self._refused_kind(action)
            or _ceiling(action, role)
            or _pattern(action)
            or Verdict(Decision.ALLOW)
        )
        command = None
        if verdict.outcome is not Decision.HOLD:
            command = understand_action(action.kind, action.arguments)
        return replace(verdict, epoch=stop.epoch, command=command)

    def _refused_kind(self, action: Action) -> Verdict | None:
        if action.kind not in self._denied_kinds:
            return None
        return Verdict(
            Decision.DENY, f"actions of kind {action.kind} are switched off on this box", "kind.denied"
        )


def _all_stop(action: Action, stop: AllStop) -> Verdict | None:
    if not stop.holds(pure=action.pure):
        return None
    said = f": {stop.reason}" if stop.reason else ""
    return Verdict(Decision.HOLD, f"all-stop ({stop.level}) by {stop.by}{said}", f"allstop.{stop.level}")


def _ceiling(action: Action, role: Role | None) -> Verdict | None:
    if action.ceiling not in set(Role):
        return Verdict(Decision.DENY, f"{action.ceiling!r} is not a role", "role.unknown")
    ceiling = Role(action.ceiling)
    if action.has_person:
        if role is None:
            return Verdict(
                Decision.DENY, f"{action.principal} is nobody who may act here now", "role.unknown"
            )
        ceiling = lower(ceiling, role)
    needed = Role.VIEWER if action.pure else NEEDED_ROLE.get(action.kind, Role.OPERATOR)
    if ceiling.covers(needed):
        return None
    return Verdict(
        Decision.DENY,
        f"{action.kind} needs {needed}; {action.principal} may act as {ceiling} here",
        "role.ceiling",
    )


def _pattern(action: Action) -> Verdict | None:
    if action.kind not in SCRIPTED:
        return None
    for text in _commands(action.arguments):
        found = refused(text)
        if found is not None:
            return Verdict(Decision.DENY, f"the command {found.reason}", f"pattern.{found.id}")
    return None


def _commands(arguments: JsonMapping) -> Iterator[str]:
    """The texts that a shell or a program will read as commands; the values handed to them are data."""
    command, args = arguments.get("command"), arguments.get("args")
    if isinstance(command, dict):
        command = command.get("script")
    if isinstance(command, str):
        yield command
    for words in (command, args):
        if isinstance(words, list):
            yield " ".join(str(word) for word in words)[:LONGEST]
