"""People's side of approvals: look at them, decide on one, mint a one-time code. On Django's connection.

Deciding here changes the approval alone; ``appliance.runs.approvals`` is the door that wakes its run as well.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, Principal, hand_of, person_of
from appliance.audit.services import AuditEntry, append
from appliance.events import ApprovalChanged
from appliance.events.services import record
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from appliance.safety.approvals import sql
from appliance.safety.approvals.asking import digest_of
from appliance.safety.approvals.domain import (
    Asked,
    Choice,
    Refusal,
    State,
    Terms,
    Way,
    not_theirs,
    objection,
)
from appliance.safety.approvals.models import Approval, ApprovalDecision

KEPT = timedelta(days=90)
"""How long decided approvals are kept; who decided what is on the audit record for ever."""

LONGEST_REASON = 500


class Objected(Exception):
    """Somebody may not decide. For the audit record: people get ApprovalRefused."""

    def __init__(self, refusal: Refusal, approval: Approval | None) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.approval = approval


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody says about an approval. ``minted_by`` made the code that carries their word, ``entered_by`` typed
    it.

    With a ``key`` the same message handled again after a crash is the same word.
    """

    choice: Choice
    by: Principal
    way: Way
    at: datetime
    reason: str = ""
    key: str = ""
    entered_by: str = ""
    minted_by: str = ""


def find(ref: str) -> Approval | None:
    """By identifier, by the code that people type, or by what a button carries."""
    ref = plain_text(ref.strip())[:100]
    try:
        return Approval.objects.filter(pk=UUID(ref)).first()
    except ValueError:
        wanted = Q(code=ref.upper()) if len(ref) <= 8 else Q(token_digest=digest_of(ref))
        return Approval.objects.filter(wanted).first()


def by_tokens(tokens: Iterable[str]) -> dict[str, Approval]:
    """The approvals that buttons carry these tokens for; a token that fits none is left out."""
    digests = {digest_of(token): token for token in tokens}
    rows = Approval.objects.filter(token_digest__in=digests) if digests else []
    return {digests[row.token_digest]: row for row in rows}


def open_ones(now: datetime, run_ids: Sequence[UUID] | None = None) -> list[Approval]:
    """What waits for a person, oldest first."""
    rows = Approval.objects.filter(state=State.OPEN.value, expires_at__gt=now)
    if run_ids is not None:
        rows = rows.filter(run_id__in=run_ids)
    return list(rows.order_by("id")[:100])


def count_open(now: datetime) -> int:
    return Approval.objects.filter(state=State.OPEN.value, expires_at__gt=now).count()


def closed_ones(before: UUID | None, limit: int) -> list[Approval]:
    """What has been decided or has lapsed, newest first."""
    rows = Approval.objects.exclude(state=State.OPEN.value)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-id")[:limit])


def asked(row: Approval) -> Asked:
    """The row as the rules see it."""
    length = row.expires_at - row.created_at
    terms = Terms(Role(row.approvers), tuple(row.names), row.needed, length, row.self_approval)
    return Asked(
        row.pk, State(row.state), row.digest, row.policy, row.states, row.created_at, row.expires_at, terms,
        row.requester, row.task, row.decided_at, row.decided_by, row.decision_reason, row.issuer,
    )  # fmt: skip


def may_decide(row: Approval, by: Principal) -> bool:
    """Whether its buttons are for this person."""
    return by.can(Ability.APPROVE, task=row.task) and not_theirs(asked(row), by) is None


def decide(row: Approval, word: Word, then: Callable[[State], None] = lambda state: None) -> State:
    """One conditional update, with its record and event, in the caller's transaction. Raises Objected.

    ``then`` writes what follows from it, before the record is taken, which comes last.
    """
    refused = objection(asked(row), word.by, word.at, word.minted_by)
    if refused is not None:
        raise Objected(refused, row)
    person = person_of(word.by.name)
    values: dict[str, Any] = {
        "id": row.pk,
        "deny": word.choice is Choice.DENY,
        "now": word.at,
        "by": word.by.name,
        "way": word.way.value,
        "reason": plain_text(word.reason)[:LONGEST_REASON],
        "person": hand_of(word.by.name),
        "through": word.minted_by or word.by.name,
        "username": person,
        "roles": asked(row).terms.roles,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.DECIDE, values)
        decided = cursor.fetchone()
        if decided is None:
            raise Objected(_why_not(row, word, values["person"]), row)
        cursor.execute(sql.DECIDED, {**values, "choice": word.choice.value, "key": word.key[:300]})
        state = State(decided[0])
        record(cursor, changed(row, state, word.by.name))
        then(state)
        append(cursor, [AuditEntry("approval.decided", word.by.name, str(row.pk), _said(row, word, state))])
    return state


def _why_not(row: Approval, word: Word, person: str) -> Refusal:
    """Which of the conditions of the update did not hold."""
    row.refresh_from_db()
    before = ApprovalDecision.objects.filter(approval=row, person=person).exists()
    last = Refusal.TWICE if before else Refusal.NOT_ACTIVE
    return objection(asked(row), word.by, word.at, word.minted_by) or last


def said_before(row: Approval, word: Word) -> bool:
    """Whether this very message was handled before a crash."""
    if not word.key:
        return False
    person = hand_of(word.by.name)
    return ApprovalDecision.objects.filter(approval=row, person=person, key=word.key[:300]).exists()


def record_refusal(objected: Objected, ref: str, word: Word) -> None:
    """Put the attempt on record, with everything that the one who tried is not told."""
    row = objected.approval
    detail: JsonObject = {
        "case": objected.refusal.value,
        "choice": word.choice.value,
        "way": word.way.value,
        "entered_by": word.entered_by,
        "minted_by": word.minted_by,
        "state": row.state if row else None,
        "task": row.task if row else None,
    }
    # A reference that fits nothing may be a token with a typing error: its digest is enough to compare.
    subject = str(row.pk) if row else f"unknown/{digest_of(ref)[:16]}"
    with connection.cursor() as cursor:
        append(cursor, [AuditEntry("approval.refused", word.by.name, subject, detail)])


def changed(row: Approval, state: State, principal: str) -> ApprovalChanged:
    return ApprovalChanged(
        approval_id=str(row.pk),
        run_id=str(row.run_id),
        task=row.task,
        step=row.step,
        state=state.value,
        principal=principal,
    )


def present(username: str) -> Principal | None:
    """A person with the role that they have now; None where they are not active."""
    if username == CONSOLE.name:
        return CONSOLE
    person = User.objects.filter(username=username, is_active=True).first()
    return person.principal if person else None


def forget(now: datetime) -> None:
    """Drop the rows of long ago."""
    Approval.objects.exclude(state=State.OPEN.value).filter(expires_at__lt=now - KEPT).delete()


def _said(row: Approval, word: Word, state: State) -> JsonObject:
    return {
        "task": row.task,
        "run": str(row.run_id),
        "step": row.step,
        "choice": word.choice.value,
        "state": state.value,
        "way": word.way.value,
        "reason": word.reason[:LONGEST_REASON],
        "entered_by": word.entered_by,
        "minted_by": word.minted_by,
        "shown": row.shown,
        "digest": row.digest,
        "policy": row.policy,
    }
