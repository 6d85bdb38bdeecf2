"""The people's side of escalations: look at them, acknowledge one, withdraw one. On Django's connection."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from appliance.accounts.domain import Ability
from appliance.accounts.principal import CONSOLE, Principal, hand_of, person_of
from appliance.audit.services import append
from appliance.bridges import settling
from appliance.escalations import notices, sql
from appliance.escalations.domain import UNSETTLED, State, Way
from appliance.escalations.errors import EscalationNotFound, EscalationSettled, NobodyKnown
from appliance.escalations.models import Escalation
from appliance.escalations.telling import on_record, told_of
from appliance.events import EscalationAcknowledged, EscalationWithdrawn
from appliance.events.hints import poke_from_thread
from appliance.events.services import record
from appliance.lib.plain import plain_text
from appliance.lib.said import say
from appliance.safety.read_only import refuse_changes

_WAITS = [state.value for state in UNSETTLED]
_KINDS = {State.ACKNOWLEDGED: EscalationAcknowledged, State.WITHDRAWN: EscalationWithdrawn}
_WORDS = {State.ACKNOWLEDGED: notices.acknowledged, State.WITHDRAWN: notices.withdrawn}


def waiting(run_id: UUID | None = None, limit: int = 100) -> list[Escalation]:
    """What nobody has answered: the exhausted ones first, of each the oldest first."""
    rows = Escalation.objects.filter(state__in=_WAITS)
    if run_id is not None:
        rows = rows.filter(run_id=run_id)
    return sorted(rows.order_by("id")[:limit], key=lambda row: row.state != State.EXHAUSTED.value)


def settled(before: UUID | None = None, limit: int = 50) -> list[Escalation]:
    """What has been answered or withdrawn, newest first, from the one before ``before``."""
    rows = Escalation.objects.exclude(state__in=_WAITS)
    return list((rows.filter(pk__lt=before) if before else rows).order_by("-id")[:limit])


def of_run(run_id: UUID) -> list[Escalation]:
    """All of one run, oldest first."""
    return list(Escalation.objects.filter(run_id=run_id).order_by("id")[:50])


def here(platform: str, conversation: str) -> list[Escalation]:
    """What nobody has answered, and a message of it went to this conversation; oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(sql.HERE, {"platform": platform, "conversation": conversation})
        ids = [row[0] for row in cursor.fetchall()]
    return list(Escalation.objects.filter(pk__in=ids).order_by("id")) if ids else []


def counts() -> dict[str, int]:
    """How many wait, by their state: ``open`` and ``exhausted``."""
    with connection.cursor() as cursor:
        cursor.execute(sql.COUNTS)
        found = dict(cursor.fetchall())
    return {state: int(found.get(state, 0)) for state in _WAITS}


def find(ref: str) -> Escalation:
    """By identifier or code. Raises EscalationNotFound."""
    row = _found(ref)
    if row is None:
        raise EscalationNotFound(say("there is nothing to acknowledge under %(ref)s", ref=ref or "?"))
    return row


def _found(ref: str) -> Escalation | None:
    """Of two with the same code the one that waits, else the newest."""
    ref = plain_text(ref.strip())[:100]
    try:
        wanted = Q(pk=UUID(ref))
    except ValueError:
        wanted = Q(code=ref.upper())
    rows = sorted(Escalation.objects.filter(wanted)[:10], key=lambda row: row.state not in _WAITS)
    return rows[0] if rows else None


def may_answer(row: Escalation, by: Principal) -> bool:
    """Whether its button is for this person."""
    return _is_somebody(by) and by.can(Ability.RUN_TASKS, task=row.task or None)


def acknowledge(ref: str, by: Principal, now: datetime, way: Way, *, key: str = "") -> Escalation:
    """Somebody takes it on: nobody else is told, and its messages say by whom. By identifier or code.

    The first answer counts; the same command handled again after a crash (``key``) is the same answer, and so is one
    more of the same person. Raises NotAllowed, EscalationNotFound, EscalationSettled, ReadOnlyNow.
    """
    return _settle(ref, by, now, way, State.ACKNOWLEDGED, Ability.RUN_TASKS, key)


def withdraw(ref: str, by: Principal, now: datetime, way: Way, *, key: str = "") -> Escalation:
    """Nobody has to answer it any more. As ``acknowledge``, for whoever may end runs."""
    return _settle(ref, by, now, way, State.WITHDRAWN, Ability.CANCEL_RUNS, key)


def _settle(
    ref: str, by: Principal, now: datetime, way: Way, becomes: State, ability: Ability, key: str
) -> Escalation:
    refuse_changes(by)
    known = _found(ref)
    by.require(ability, task=known.task or None if known else None)
    row = known or find(ref)
    if not _is_somebody(by):
        raise NobodyKnown(say("only a person answers for this"))
    values: dict[str, Any] = {
        "id": row.pk,
        "becomes": becomes.value,
        "by": by.name,
        "way": way.value,
        "key": key[:300],
        "now": now,
    }
    with transaction.atomic():
        if not _settled(values, becomes, by, now):
            row.refresh_from_db()
            return _before(row, becomes, by, key)
        transaction.on_commit(poke_from_thread)
    row.refresh_from_db()
    return row


def _settled(values: dict[str, Any], becomes: State, by: Principal, now: datetime) -> bool:
    """The conditional update, with its messages, its event and its record; whether it still waited."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SETTLE, values)
        found = cursor.fetchone()
        if found is None:
            return False
        after: dict[str, Any] = dict(zip((*sql.SETTLED, "messages"), found, strict=True))
        said = partial(_WORDS[becomes], hand_of(by.name), now)
        settling.settle_now(settling.these(after["messages"]), becomes.value, said, now, aloud="escalation/")
        record(cursor, _KINDS[becomes](**told_of(after), principal=by.name))
        append(cursor, [on_record(becomes.value, by.name, after, way=values["way"])])
    return True


def _before(row: Escalation, becomes: State, by: Principal, key: str) -> Escalation:
    """It was settled already: the same answer once more is no error."""
    same = (key and row.command_key == key) or (row.state == becomes.value and row.settled_by == by.name)
    if same:
        return row
    at = f"{row.settled_at:%m-%d %H:%M}" if row.settled_at else ""
    who = hand_of(row.settled_by)
    if row.state == State.WITHDRAWN.value:
        raise EscalationSettled(
            say("%(who)s has withdrawn %(code)s at %(at)s UTC", who=who, code=row.code, at=at)
        )
    raise EscalationSettled(
        say("%(who)s has acknowledged %(code)s at %(at)s UTC", who=who, code=row.code, at=at)
    )


def _is_somebody(by: Principal) -> bool:
    return person_of(by.name) is not None or by == CONSOLE


def prune(before: datetime) -> int:
    """Delete what was settled before ``before``; gives how many went. What waits stays."""
    gone, _ = Escalation.objects.exclude(state__in=_WAITS).filter(settled_at__lt=before).delete()
    return gone
