"""What the gate's ``ask`` means for a step now: wait for a person, pass with their approval, or be refused.

Everything here happens in the transaction that commits the step's state.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.audit.services import AuditEntry
from appliance.events import ApprovalChanged
from appliance.events.services import record_many_async
from appliance.lib.jsontypes import JsonObject
from appliance.runs.approval_notices import settle as settle_messages
from appliance.runs.approval_notices import tell
from appliance.runs.domain import StepState
from appliance.runs.plan import Next
from appliance.runs.walk import Walk
from appliance.safety.approvals import asking
from appliance.safety.approvals.asking import Opened, Wish
from appliance.safety.approvals.domain import (
    Asked,
    Judgement,
    Move,
    Reached,
    State,
    Subject,
    good_until,
    judge,
)
from appliance.safety.approvals.shown import shown
from appliance.safety.gate import Action, Decision, Verdict
from appliance.tasks.definition.steps import Proposal

RULE = "approval."
"""What a verdict's rule begins with where a person's word, or its absence, decided."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict that takes the place of ``ask``; ``records`` go on the audit record with the step's own.

    ``until``: when the approval that is waited for expires. ``approval``: the one that let it pass.
    """

    verdict: Verdict
    records: tuple[AuditEntry, ...] = ()
    until: datetime | None = None
    approval: UUID | None = None


def wish_of(walk: Walk, following: Next, action: Action, verdict: Verdict, states: JsonObject) -> Wish:
    """The permission that this step needs to go on."""
    subject = Subject(
        action.kind,
        action.effect,
        action.arguments,
        walk.row.version_id,
        verdict.in_force,
        states,
        verdict.command.as_json() if verdict.command else None,
    )
    return Wish(
        run_id=walk.row.id,
        step=following.spec.id,
        attempt=following.attempt,
        task=walk.definition.name,
        subject=subject,
        terms=verdict.terms,
        requested_by=action.principal,
        shown=shown(action.kind, action.arguments),
        reason=verdict.reason,
        rule=verdict.rule,
        reached=_reached(walk, following),
    )


def _reached(walk: Walk, following: Next) -> Reached:
    if following.begun:
        return Reached.BEGUN
    last = walk.progress.latest.get(following.spec.id)
    away = last is not None and last.state is StepState.WAITING and "away" in (last.checkpoint or {})
    return Reached.NOTHING if away else Reached.UNCLEAR


async def settle(
    connection: AsyncConnection[Any], wish: Wish, verdict: Verdict, now: datetime, *, unattended: bool
) -> Answer:
    """Look at the approvals of this attempt, and ask, wait, pass or refuse. The caller holds the run's row."""
    rows = await asking.rows_of(connection, wish.run_id, wish.step, wish.attempt)
    found = judge(rows, wish.subject, now, wish.reached)
    records = await _closed(connection, wish, found, now)
    match found.move:
        case Move.PASS:
            assert found.row is not None
            passed = replace(verdict, outcome=Decision.ALLOW, rule=f"{RULE}{found.row.id}")
            return Answer(passed, records, approval=found.row.id)
        case Move.WAIT:
            assert found.row is not None
            return Answer(verdict, records, found.row.expires_at)
        case Move.REFUSE:
            return Answer(_no(verdict, found.reason, "refused"), records)
    opened, refused = await open_for(connection, wish, now, unattended=unattended)
    if opened is None:
        return Answer(_no(verdict, refused, "nobody"), records)
    return Answer(verdict, (*records, opened.record), opened.expires_at)


async def by_plan(
    connection: AsyncConnection[Any], wish: Wish, verdict: Verdict, now: datetime, proposed: Proposal | None
) -> Answer | None:
    """Let a call pass with the approval of its turn's whole plan, where that was given for exactly these calls.

    None where there is no such plan, where its approval came too long ago or under another policy, and where the
    policy asks for more: for another person than who asked the agent, among other things.
    """
    if proposed is None or not proposed.plan:
        return None
    rows = await asking.rows_of(connection, wish.run_id, proposed.plan, 1)
    row = rows[-1] if rows else None
    if (
        row is None
        or row.state is not State.APPROVED
        or row.digest != proposed.digest
        or now >= good_until(row)
        or row.policy != wish.subject.policy
        # Which programs a command would run is not in the plan.
        or wish.subject.command is not None
    ):
        return None
    terms = verdict.terms
    if terms.names or terms.needed > 1 or not row.terms.approvers.covers(terms.approvers):
        return None
    if row.terms.self_approval and not terms.self_approval and await asking.by_same_hand(connection, row.id):
        return None
    return Answer(replace(verdict, outcome=Decision.ALLOW, rule=f"{RULE}{row.id}"), approval=row.id)


async def open_for(
    connection: AsyncConnection[Any], wish: Wish, now: datetime, *, unattended: bool
) -> tuple[Opened | None, str]:
    """Ask people, in their chats too; None and the reason where nobody can be asked."""
    if unattended:
        return None, f"needs the approval of {whom(wish)}, and the task is unattended"
    if not await asking.enough_people(connection, wish):
        return None, f"needs the approval of {whom(wish)}, and there is nobody who may give it"
    opened = await asking.ask(connection, wish, now)
    await tell(connection, opened, now)
    await record_many_async(connection, [_event(wish, opened.id, State.OPEN)])
    return opened, ""


def whom(wish: Wish) -> str:
    """``an engineer``, or the people by name."""
    terms = wish.terms
    if terms.names:
        return " or ".join(terms.names)
    role = terms.approvers.value
    one = f"{'an' if role[0] in 'aeo' else 'a'} {role}"
    return one if terms.needed == 1 else f"{terms.needed} people ({role} or above)"


async def close(
    connection: AsyncConnection[Any], wish: Wish, row: Asked, becomes: State, because: str, now: datetime
) -> tuple[AuditEntry, ...]:
    """Move a row on, with its event; gives its audit record. Nobody else can: the run's row is held."""
    await asking.close(connection, row, becomes, because, now)
    if becomes is not State.USED:
        await settle_messages(connection, row.id, becomes, because, now)
    await record_many_async(connection, [_event(wish, row.id, becomes)])
    detail: JsonObject = {
        "task": wish.task,
        "run": str(wish.run_id),
        "step": wish.step,
        "because": because,
        "decided_by": row.decided_by,
        "digest": row.digest,
    }
    return (AuditEntry(f"approval.{becomes.value}", wish.requested_by, str(row.id), detail, now),)


async def _closed(
    connection: AsyncConnection[Any], wish: Wish, found: Judgement, now: datetime
) -> tuple[AuditEntry, ...]:
    if found.becomes is None or found.row is None:
        return ()
    return await close(connection, wish, found.row, found.becomes, found.reason, now)


def _no(verdict: Verdict, reason: str, word: str) -> Verdict:
    return replace(verdict, outcome=Decision.DENY, reason=reason, rule=f"{RULE}{word}")


def _event(wish: Wish, approval: UUID, state: State) -> ApprovalChanged:
    return ApprovalChanged(
        approval_id=str(approval),
        run_id=str(wish.run_id),
        task=wish.task,
        step=wish.step,
        state=state.value,
        principal=wish.requested_by,
    )
