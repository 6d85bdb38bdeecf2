"""The gate: the one place that every effect passes, whoever asked for it.

In order: all-stop, refused kinds, the principal's role, the net of patterns, the policy. Each is one function
that yields a verdict or nothing; the policy always yields one. What a command will do is understood once, for the
policy and for the record.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Role, lower
from appliance.accounts.principal import person_of
from appliance.lib.clock import Clock, SystemClock
from appliance.lib.jsontypes import JsonMapping
from appliance.safety.allstop import READ, of_row
from appliance.safety.approvals.domain import PATIENCE, Terms
from appliance.safety.commands.domain import SCRIPTED
from appliance.safety.patterns import LONGEST, refused
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.keeper import PolicyKeeper
from appliance.safety.policy.verdict import ASKED, PolicyVerdict
from appliance.safety.policy.vocabulary import INSIDE, Answer
from appliance.safety.stop import AllStop, StopFile
from appliance.safety.understood import Understood, in_brief, understand_action

DEFAULT_TERMS = Terms()


class Decision(StrEnum):
    ALLOW = "allow"
    HOLD = "hold"
    """Not now: the run waits and asks again."""
    ASK = "ask"
    """Only with a person's approval, on the verdict's terms: the run waits for it."""
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says, why, and by which rule; ``epoch`` is the all-stop's at that moment.

    ``policy`` is what the policy answered, where it came to that; ``rule`` is then ``layer/rule@version``, and
    ``in_force`` names the versions of all layers. ``terms`` belong to ASK: who is asked, and for how long.
    """

    outcome: Decision
    reason: str = ""
    rule: str = ""
    epoch: int = 0
    policy: PolicyVerdict | None = None
    command: Understood | None = None
    """What the action's command will do, for kinds that have one."""
    in_force: str = ""
    terms: Terms = DEFAULT_TERMS

    @property
    def waits_for_policy(self) -> bool:
        """Whether this hold ends when the policy can be read again, and not with the all-stop."""
        return self.rule in (UNREADABLE, CHANGED)


UNREADABLE = "policy.unreadable"
CHANGED = "policy.changed"
_INSIDE = Verdict(Decision.ALLOW)


@dataclass(frozen=True, slots=True)
class Action:
    """The typed action that is decided on: exactly what will be done, with its values filled in.

    ``effect`` is the effect class: how it may be repeated, in which its task's author has a word. ``acts`` is whether
    it reaches anything, in which the author has none. ``ceiling`` is the most that its task may do; ``principal`` who
    asked.
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
    acts: bool = True

    @property
    def username(self) -> str | None:
        """The person behind the principal, whose present role counts; None for triggers and the box."""
        return person_of(self.principal)

    @property
    def mqtt_account(self) -> str | None:
        """The MQTT account that gave the command, whose present grant counts; ``*`` is any granted one."""
        kind, _, rest = self.principal.partition(":")
        return rest if kind == "mqtt" and rest else None

    @property
    def who(self) -> dict[str, str | None]:
        """The parameters of ``LOOK``."""
        return {"username": self.username, "account": self.mqtt_account, "on_task": self.task}

    @property
    def has_person(self) -> bool:
        """Whether somebody stands behind it whose present role counts."""
        return self.username is not None or self.mqtt_account is not None


NEEDED_ROLE = {"container": Role.ENGINEER, "sql": Role.ENGINEER, "firmware": Role.ENGINEER}
"""Kinds that need more than an operator; a step that does not act needs a viewer only."""

ALWAYS_NEEDED = frozenset({"container", "firmware"})
"""Kinds of which that holds whatever the step is: nobody knows the programs of an image."""

LOOK = """
SELECT s.epoch, s.level, s.since, s.by, s.reason,
    CASE WHEN %(account)s::text IS NULL
    THEN (SELECT accounts_role_on(%(username)s, %(on_task)s) WHERE %(username)s::text IS NOT NULL)
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
    """Decides on actions. One statement, one stat: a stop engaged, or a policy applied, a moment ago counts.

    ``keeper`` holds the policy of this process; without one it is read before the first decision.
    """

    def __init__(
        self,
        home: Path,
        denied_kinds: frozenset[str] = frozenset(),
        *,
        keeper: PolicyKeeper | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._file = StopFile(home)
        self._denied_kinds = denied_kinds
        self._keeper = keeper or PolicyKeeper()
        self._clock = clock or SystemClock()

    async def pass_(self, connection: AsyncConnection[Any], action: Action) -> Verdict:
        """The verdict on ``action``, read in the caller's transaction, which also commits its intent."""
        look = await self.look(connection, action)
        return self.decide(action, look.stop, look.role)

    async def look(self, connection: AsyncConnection[Any], action: Action) -> Look:
        """Read what to decide on. Who writes on the strength of it must find it unchanged (``LOOK``) at that moment."""
        cursor = await connection.cursor(row_factory=tuple_row).execute(LOOK, action.who)
        look = Look.of_row(await cursor.fetchone())
        await self._keeper.follow(connection, look.stop.epoch)
        return look

    async def follow(self, connection: AsyncConnection[Any]) -> None:
        """Have the policy in force, for callers of ``decide``. One small statement where nothing has changed."""
        cursor = await connection.cursor(row_factory=tuple_row).execute(READ)
        await self._keeper.follow(connection, of_row(await cursor.fetchone()).epoch)

    def decide(self, action: Action, stop: AllStop, role: Role | None) -> Verdict:
        """The verdict for a switch that the caller has read already; ``role`` is the person's present one.

        For callers that fold ``allstop.READ`` into a statement of their own, and ``follow`` now and then: where
        ``stop`` is of a later epoch than the policy held here, what acts waits. The file is looked at here.
        """
        stop = stop.raised_by_file(self._file.level())
        understood = cache(lambda: understand_action(action.kind, action.arguments))
        verdict = (
            _all_stop(action, stop)
            or self._refused_kind(action)
            or _ceiling(action, role)
            or _pattern(action)
            or self._by_policy(action, stop.epoch, role, understood)
        )
        command = None if verdict.outcome is Decision.HOLD else understood()
        return replace(verdict, epoch=stop.epoch, command=command)

    def _by_policy(
        self, action: Action, epoch: int, role: Role | None, understood: Callable[[], Understood | None]
    ) -> Verdict:
        if action.kind in INSIDE:
            return _INSIDE
        policy = self._keeper.policy
        if policy is None:
            return Verdict(Decision.HOLD, f"the policy cannot be read: {self._keeper.why}", UNREADABLE)
        if epoch > self._keeper.epoch:
            return Verdict(Decision.HOLD, "the policy may have changed, and is read again", CHANGED)
        narrowed = policy.narrow(Static(action.kind, action.origin, action.task, action.principal))
        facts = Facts(
            action.kind,
            action.arguments,
            _effective(action, role) or Role.VIEWER,
            self._clock.now(),
            lambda _kind, _arguments: in_brief(understood()),
        )
        return replace(_of_policy(narrowed.decide(facts)), in_force=policy.in_force)

    def _refused_kind(self, action: Action) -> Verdict | None:
        if action.kind not in self._denied_kinds:
            return None
        return Verdict(
            Decision.DENY, f"actions of kind {action.kind} are switched off on this box", "kind.denied"
        )


def _all_stop(action: Action, stop: AllStop) -> Verdict | None:
    if not stop.holds(acts=action.acts):
        return None
    said = f": {stop.reason}" if stop.reason else ""
    return Verdict(Decision.HOLD, f"all-stop ({stop.level}) by {stop.by}{said}", f"allstop.{stop.level}")


def _ceiling(action: Action, role: Role | None) -> Verdict | None:
    if action.ceiling not in set(Role):
        return Verdict(Decision.DENY, f"{action.ceiling!r} is not a role", "role.unknown")
    ceiling = _effective(action, role)
    if ceiling is None:
        return Verdict(Decision.DENY, f"{action.principal} is nobody who may act here now", "role.unknown")
    looks = not action.acts and action.kind not in ALWAYS_NEEDED
    needed = Role.VIEWER if looks else NEEDED_ROLE.get(action.kind, Role.OPERATOR)
    if ceiling.covers(needed):
        return None
    return Verdict(
        Decision.DENY,
        f"{action.kind} needs {needed}; {action.principal} may act as {ceiling} here",
        "role.ceiling",
    )


def _effective(action: Action, role: Role | None) -> Role | None:
    """The most that may be done: by the task, and by the person or account behind the principal. None: nobody."""
    ceiling = Role(action.ceiling)
    if action.username is None and action.mqtt_account is None:
        return ceiling
    return lower(ceiling, role) if role is not None else None


def _of_policy(found: PolicyVerdict) -> Verdict:
    """What the gate makes of the policy's answer."""
    rule = f"{found.name}@{found.version}"
    match found.answer:
        case Answer.ALLOW:
            return Verdict(Decision.ALLOW, found.reason, rule, policy=found)
        case Answer.ASK:
            said = found.reason or "the policy asks for a person's word"
            terms = Terms(found.approvers or ASKED, expires=found.expires or PATIENCE)
            return Verdict(Decision.ASK, f"{said} (rule {found.name})", rule, policy=found, terms=terms)
        case Answer.DENY:
            said = found.reason or "the policy does not allow it"
            return Verdict(Decision.DENY, f"{said} (rule {found.name})", rule, policy=found)


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
