"""The gate: the one place that every effect passes, whoever asked for it.

In order: all-stop, refused kinds, the principal's role, the net of patterns, the policy, the plant's state (lock-outs,
maintenance windows, last values), budgets. Each yields a verdict or nothing; the policy always yields one. What a
command will do is understood once, for the policy and for the record.

What an effect costs is named here (``Verdict.charges``) and paid in the statement that commits its intent: only there
can it be known that there is room.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Role, lower
from appliance.accounts.principal import is_person
from appliance.lib.clock import Clock, SystemClock
from appliance.lib.jsontypes import JsonMapping
from appliance.safety.action import LOOK, Action, Look
from appliance.safety.allstop import READ, of_row
from appliance.safety.approvals.domain import PATIENCE, Terms
from appliance.safety.budgets.domain import Charge, Purse, What
from appliance.safety.budgets.model import Each
from appliance.safety.commands.domain import SCRIPTED, CommandClass
from appliance.safety.patterns import LONGEST, refused
from appliance.safety.plant_state.domain import stricter
from appliance.safety.plant_state.keeper import RestraintKeeper
from appliance.safety.policy.decision import Conditioned, Narrowed, Policy
from appliance.safety.policy.facts import Facts
from appliance.safety.policy.keeper import PolicyKeeper
from appliance.safety.policy.verdict import ASKED, PolicyVerdict
from appliance.safety.policy.vocabulary import INSIDE, THINKING, Answer, Origin, OwnAgent
from appliance.safety.standing import Standing
from appliance.safety.stop import AllStop, Level, StopFile
from appliance.safety.understood import Understood, in_brief, understand_action
from appliance.safety.verdict import (
    CHANGED,
    DEFAULT_TERMS,
    UNREADABLE,
    Decision,
    Verdict,
    of_closed,
    of_over,
)

__all__ = [
    "ALWAYS_NEEDED",
    "CHANGED",
    "DEFAULT_TERMS",
    "LOOK",
    "NEEDED_ROLE",
    "UNREADABLE",
    "Action",
    "Decision",
    "Gate",
    "Look",
    "Verdict",
    "of_closed",
    "of_over",
]

_INSIDE = Verdict(Decision.ALLOW)

PROPOSED = "agent.proposed"
"""The rule of a verdict that asks because an agent only proposes, where the policy would have let it pass."""

ONLY_READS = "agent.only_reads"
"""The rule of a verdict on a command of an agent that may only read, and whose programs are none that surely do."""

NEEDED_ROLE = {"container": Role.ENGINEER, "sql": Role.ENGINEER, "firmware": Role.ENGINEER}
"""Kinds that need more than an operator; a step that does not act needs a viewer only."""

ALWAYS_NEEDED = frozenset({"container", "firmware"})
"""Kinds of which that holds whatever the step is: nobody knows the programs of an image."""


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
        restraints: RestraintKeeper | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._file = StopFile(home)
        self._denied_kinds = denied_kinds
        self._keeper = keeper or PolicyKeeper()
        self._restraints = restraints or RestraintKeeper()
        self._clock = clock or SystemClock()
        self._standing = Standing()

    async def pass_(self, connection: AsyncConnection[Any], action: Action) -> Verdict:
        """The verdict on ``action``, read in the caller's transaction, which also commits its intent."""
        look = await self.look(connection, action)
        return self.decide(action, look.stop, look.role)

    async def look(self, connection: AsyncConnection[Any], action: Action) -> Look:
        """Read what to decide on. Who writes on the strength of it must find it unchanged (``LOOK``) at that moment."""
        cursor = await connection.cursor(row_factory=tuple_row).execute(LOOK, action.who)
        look = Look.of_row(await cursor.fetchone())
        await self._follow(connection, look.stop.epoch)
        return look

    def seen(self, action: Action, stop: AllStop) -> Look | None:
        """What ``look`` gives, where the caller has read the switch already; None where more has to be asked: the
        present role of a person, or what was applied since."""
        known = self._keeper.policy is not None and stop.epoch <= min(
            self._keeper.epoch, self._restraints.epoch
        )
        return Look(stop) if known and not action.has_person else None

    async def follow(self, connection: AsyncConnection[Any]) -> None:
        """Have the policy in force, for callers of ``decide``. One small statement where nothing has changed."""
        cursor = await connection.cursor(row_factory=tuple_row).execute(READ)
        await self._follow(connection, of_row(await cursor.fetchone()).epoch)

    async def _follow(self, connection: AsyncConnection[Any], epoch: int) -> None:
        """The policy last: its epoch tells ``decide`` that all has been read, also to a run that decides meanwhile."""
        await self._restraints.follow(connection, epoch)
        await self._keeper.follow(connection, epoch)

    def conditions(self, action: Action) -> Sequence[Conditioned]:
        """What the policy asks of the plant for this action; whoever can look at last values answers in
        ``Action.plant``."""
        policy = self._keeper.policy
        asked = policy.narrow(action.static).plant if policy is not None and action.acts else ()
        return [one for one in asked if one.selected.takes(self._facts(action, None))] if asked else ()

    def decide(self, action: Action, stop: AllStop, role: Role | None) -> Verdict:
        """The verdict for a switch that the caller has read already; ``role`` is the person's present one.

        For callers that fold ``allstop.READ`` into a statement of their own, and ``follow`` now and then: where
        ``stop`` is of a later epoch than the policy held here, what acts waits. The file is looked at here.
        """
        stop = stop.raised_by_file(self._file.level())
        basis = (stop, self._keeper.policy, self._keeper.epoch, self._restraints.epoch)
        known = self._standing.find(action, role, basis)
        if known is not None:
            return known
        understood = cache(lambda: understand_action(action.kind, action.arguments))
        verdict = (
            _all_stop(action, stop)
            or self._refused_kind(action)
            or _ceiling(action, role)
            or _pattern(action)
            or self._by_policy(action, stop.epoch, role, understood)
        )
        verdict = _as_proposed(action, verdict, understood)
        if verdict.outcome is Decision.ASK and self._is_their_agents(action, stop.epoch, role, understood):
            verdict = replace(verdict, terms=replace(verdict.terms, self_approval=True))
        command = None if verdict.outcome is Decision.HOLD else understood()
        verdict = replace(verdict, epoch=stop.epoch, command=command, stop=stop)
        if self._holds_for_all(action):
            self._standing.keep(action, role, basis, verdict)
        return verdict

    def holds_still(self, before: AllStop, now: AllStop) -> bool:
        """Whether what was allowed when the switch stood at ``before`` is so at ``now``; the file is looked at here.

        A policy that is applied, a lock-out or a maintenance window moves the switch on too.
        """
        return now == before and self._file.level() is Level.NONE

    def stopped_by_file(self, action: Action) -> Verdict | None:
        """The verdict of the file alone: for who was allowed, has waited since for a commit, and is about to act.

        Whoever stops the box writes the file before the switch's row, which a statement under way may not see.
        """
        return _all_stop(action, AllStop().raised_by_file(self._file.level()))

    def _holds_for_all(self, action: Action) -> bool:
        """Whether neither the action's arguments, the plant, a clock nor a budget has a say in the verdict."""
        if action.kind in SCRIPTED or action.plant is not None or action.budget is not None:
            return False
        if action.proposed or action.risk or action.kind in THINKING:
            return False
        if action.kind in INSIDE:
            return True
        policy = self._keeper.policy
        if policy is None or self._restraints.restraints.any:
            return False
        narrowed = policy.narrow(action.static)
        return narrowed.is_constant and not narrowed.budgets

    def _by_policy(
        self, action: Action, epoch: int, role: Role | None, understood: Callable[[], Understood | None]
    ) -> Verdict:
        if action.kind in INSIDE and action.kind not in THINKING:
            return _INSIDE
        policy = self._keeper.policy
        if policy is None:
            return Verdict(Decision.HOLD, f"the policy cannot be read: {self._keeper.why}", UNREADABLE)
        if epoch > min(self._keeper.epoch, self._restraints.epoch):
            return Verdict(Decision.HOLD, "the policy may have changed, and is read again", CHANGED)
        if action.kind in INSIDE:
            return replace(_INSIDE, charges=self._tokens(action, policy, role), in_force=policy.in_force)
        narrowed = policy.narrow(action.static)
        facts = self._facts(action, role, understood)
        verdict = _of_policy(narrowed.decide(facts))
        if verdict.outcome is Decision.DENY:
            return replace(verdict, in_force=policy.in_force)
        if not action.acts:
            return replace(verdict, charges=self._tokens(action, policy, role), in_force=policy.in_force)
        closed = self._restraints.restraints.closed(facts, action.task)
        if action.plant is not None:
            closed = stricter([closed, action.plant]) if closed is not None else action.plant
        if closed is not None:
            return replace(of_closed(closed), policy=verdict.policy, in_force=policy.in_force)
        return replace(verdict, charges=_charges(action, narrowed, facts), in_force=policy.in_force)

    def _tokens(self, action: Action, policy: Policy, role: Role | None) -> tuple[Charge, ...]:
        """Of a step that asks a model and acts on nothing: what budgets of tokens are to have room for."""
        if action.kind not in THINKING:
            return ()
        action = replace(action, kind=THINKING[action.kind])
        narrowed = policy.narrow(action.static)
        charges = _charges(action, narrowed, self._facts(action, role))
        return tuple(one for one in charges if one.key.what is What.TOKENS)

    def _is_their_agents(
        self, action: Action, epoch: int, role: Role | None, understood: Callable[[], Understood | None]
    ) -> bool:
        """Whether the person who asked an agent may decide on what it proposes: where the policy says so, and would
        let them do the same themselves without asking anybody."""
        if not action.risk or not self.own_agent.takes(action.risk, outside=action.outside):
            return False
        if not is_person(action.principal) or action.origin == Origin.AGENT:
            return False
        return self._by_policy(action.without_agent, epoch, role, understood).outcome is Decision.ALLOW

    @property
    def own_agent(self) -> OwnAgent:
        policy = self._keeper.policy
        return policy.own_agent if policy is not None else OwnAgent.NEVER

    def _facts(
        self, action: Action, role: Role | None, understood: Callable[[], Understood | None] = lambda: None
    ) -> Facts:
        return Facts(
            action.kind,
            action.arguments,
            _effective(action, role) or Role.VIEWER,
            self._clock.now(),
            lambda _kind, _arguments: in_brief(understood()),
        )

    def _refused_kind(self, action: Action) -> Verdict | None:
        if action.kind not in self._denied_kinds:
            return None
        return Verdict(
            Decision.DENY, f"actions of kind {action.kind} are switched off on this box", "kind.denied"
        )


def _charges(action: Action, narrowed: Narrowed, facts: Facts) -> tuple[Charge, ...]:
    if not narrowed.budgets and action.budget is None:
        return ()
    purses = [one.purse for one in narrowed.budgets if one.selected.takes(facts)]
    if action.budget is not None:
        purses.append(Purse("task", action.budget, Each.TASK))
    of = (action.kind, action.arguments, action.task, action.principal)
    return tuple(charge for purse in purses for charge in purse.charges(*of))


def _all_stop(action: Action, stop: AllStop) -> Verdict | None:
    # A command that only reads would be killed at once, and a query that only reads would leave the box.
    killed = action.kind in SCRIPTED and stop.at_least(Level.KILL)
    leaves = (action.kind not in INSIDE or action.kind in THINKING) and stop.cuts
    # No model is given to anybody then: who asked for one would fail.
    thinks = action.kind in THINKING and stop.at_least(Level.KILL)
    if not stop.holds(acts=action.acts or killed or leaves or thinks):
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


def _as_proposed(action: Action, verdict: Verdict, understood: Callable[[], Understood | None]) -> Verdict:
    """What an agent calls for. A command that its text makes a read is one only with the programs that it would run."""
    if verdict.outcome not in (Decision.ALLOW, Decision.ASK):
        return verdict
    word = action.proposed
    if action.unless_read or action.must_read:
        found = understood()
        if found is None or found.kind is not CommandClass.READ:
            because = "; ".join(found.reasons[:2]) if found else "it is no command"
            if action.must_read:
                said = f"this agent only reads, and here the command may do more: {because}"
                return Verdict(Decision.DENY, said, ONLY_READS)
            word = word or f"{action.unless_read} ({because})"
    if word and verdict.outcome is Decision.ALLOW:
        return replace(verdict, outcome=Decision.ASK, reason=word, rule=PROPOSED)
    return verdict


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
