"""The door for people's decisions: the approval, its run's wake-up and the record, committed together."""

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.events.services import record
from appliance.lib.crashpoints import reach
from appliance.runs import hints, sql
from appliance.runs.approval_notices import settle_now
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, RunState, Waiting
from appliance.safety.approvals import codes, services
from appliance.safety.approvals.domain import Choice, Refusal, State, Way
from appliance.safety.approvals.errors import ApprovalNotFound, ApprovalRefused, CodeRefused
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Objected, Word
from appliance.safety.read_only import refuse_changes

_ENDED = {state.value for state in FINAL}


def decide(ref: str, word: Word) -> Approval:
    """Approve or deny, by identifier, code or token: the first one decides, and the run goes on at once.

    Raises ApprovalRefused with the same sentence for all who may not; the audit record says which case it was.
    Raises ReadOnlyNow.
    """
    refuse_changes(word.by)
    try:
        return _decided(services.find(ref), word)
    except Objected as objected:
        services.record_refusal(objected, ref, word)
        raise ApprovalRefused() from None


def by_code(ref: str, code: str, entered_by: Principal, now: datetime) -> Approval:
    """Approve with the one-time code of an approver, typed by anybody who is signed in.

    Who typed it is a hand: the word is the approver's, who must still be one. Raises CodeRefused, with one sentence for
    every case, and ReadOnlyNow.
    """
    refuse_changes(entered_by)
    tried = Word(Choice.APPROVE, entered_by, Way.CODE, now, entered_by=entered_by.name)
    try:
        row = _known(services.find(ref))
        return _decided(row, codes.word_of(row, code, entered_by, now))
    except Objected as objected:
        services.record_refusal(objected, ref, tried)
        raise CodeRefused() from None


def mint_code(ref: str, by: Principal, now: datetime, minted_by: str = "") -> str:
    """A one-time code in the name of ``by``, who must be one who may approve it. Raises as ``decide``.

    ``minted_by``: the principal that makes it, where that is not ``by``.
    """
    refuse_changes(by)
    try:
        return codes.mint(_able(_known(services.find(ref)), by), by, now, minted_by)
    except Objected as objected:
        tried = Word(Choice.APPROVE, by, Way.CODE, now, minted_by=minted_by)
        services.record_refusal(objected, ref, tried)
        raise ApprovalRefused() from None


def get(ref: str) -> Approval:
    """Raises ApprovalNotFound."""
    row = services.find(ref)
    if row is None:
        raise ApprovalNotFound("there is no such approval")
    return row


def _known(row: Approval | None) -> Approval:
    if row is None:
        raise Objected(Refusal.UNKNOWN, None)
    return row


def _able(row: Approval, by: Principal) -> Approval:
    if not by.can(Ability.APPROVE, task=row.task):
        raise Objected(Refusal.ROLE, row)
    return row


def _decided(found: Approval | None, word: Word) -> Approval:
    row = _able(_known(found), word.by)
    with transaction.atomic():
        if services.said_before(row, word):
            return row
        state = _hold(row.run_id)
        # Read after the run is held: what the engine did with it meanwhile is seen.
        row.refresh_from_db()
        if row.state == State.OPEN.value and (state is None or state in _ENDED):
            raise Objected(Refusal.RUN_ENDED, row)
        now_it_is = services.decide(row, word, lambda state: _tell(row, state, word))
        if word.way is Way.CODE:
            codes.spend(row)
        if now_it_is is not State.OPEN:
            _wake(row, word)
    reach("approval.after_decision")
    hints.look_at([row.run_id])
    row.refresh_from_db()
    return row


def _tell(row: Approval, state: State, word: Word) -> None:
    """Those who were asked; while more people have to approve nothing is settled."""
    if state is not State.OPEN:
        settle_now(row, state, word)


def _hold(run_id: UUID) -> str | None:
    """Take the run's row, and give its state: the engine's writes wait until the commit."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK_RUN, {"id": run_id})
        row = cursor.fetchone()
    return row[0] if row else None


def _wake(row: Approval, word: Word) -> None:
    said = f"{word.by.name} says {word.choice.value}"
    with connection.cursor() as cursor:
        cursor.execute(sql.WAKE_ONE, {"id": row.run_id, "waiting_for": Waiting.APPROVAL.value})
        if cursor.fetchone() is not None:
            record(cursor, run_changed(row.run_id, row.task, RunState.QUEUED, None, said, word.by.name))
