"""Locking out, and planning maintenance: the only door for other areas. Each change moves the epoch on, so that it
counts from the next effect of every process."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, connection, transaction
from pydantic import ValidationError

from appliance.accounts.domain import Ability
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal, person_of
from appliance.audit.services import append_here
from appliance.events.hints import poke_from_thread
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from appliance.lib.topic_filters import filter_fault
from appliance.safety.budgets.model import Then
from appliance.safety.epoch import MOVE_EPOCH
from appliance.safety.plant_state.domain import Scope, Window
from appliance.safety.plant_state.keeper import MOST, WINDOWS, window_of
from appliance.safety.plant_state.models import LockOutRow, MaintenanceWindow
from appliance.safety.policy.model import TimeIs
from appliance.safety.read_only import refuse_changes

LONGEST_REASON = 500


class Refused(MillwrightError):
    """A lock-out or a window that cannot be as it is asked for."""

    code = "restraint.refused"


class NotFound(MillwrightError):
    code = "restraint.not_found"


@dataclass(frozen=True, slots=True)
class Hours:
    """When a window is: ``weekly`` hours, or once from ``begins`` to ``ends`` (with a zone)."""

    weekly: TimeIs | None = None
    begins: datetime | None = None
    ends: datetime | None = None

    @classmethod
    def of_week(cls, days: Sequence[str], begin: str, end: str, zone: str) -> "Hours":
        """Raises Refused."""
        given = {"days": list(days), "from": begin, "to": end, "zone": zone}
        try:
            return cls(TimeIs.model_validate(given))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "hours"
            raise Refused(f"{where}: {first['msg']}", hint="as days mon tue, from 22:00, to 06:00") from None

    @classmethod
    def once(cls, begin: str, end: str, zone: str) -> "Hours":
        """From one moment to another, in the time of a zone. Raises Refused."""
        try:
            where = ZoneInfo(zone)
            begins, ends = (datetime.fromisoformat(one.strip()) for one in (begin, end))
        except (ValueError, ZoneInfoNotFoundError, OSError):
            raise Refused(
                "when is it?",
                hint="days and times as 22:00, or dates as 2026-12-24 18:00, and a zone as Europe/Paris",
            ) from None
        at = [one if one.tzinfo else one.replace(tzinfo=where) for one in (begins, ends)]
        return cls(begins=at[0], ends=at[1])


def lock_out(
    scope: Scope, pattern: str, reason: str, by: Principal, now: datetime, then: Then = Then.DENY
) -> LockOutRow:
    """Take something out of use until the same person, or an administrator, gives it back.

    Raises Refused, NotAllowed, ReadOnlyNow.
    """
    by.require(Ability.STOP_ALL)
    _person(by)
    refuse_changes(by)
    said = _reason(reason)
    with transaction.atomic():
        if LockOutRow.objects.filter(ended_at=None).count() >= MOST:
            raise Refused(f"{MOST} lock-outs stand already, which is the most that may")
        row = LockOutRow.objects.create(
            scope=scope.value,
            pattern=_pattern(scope, pattern),
            then=then.value,
            by=by.name,
            reason=said,
            since=now,
        )
        detail: JsonObject = {"scope": row.scope, "pattern": row.pattern, "then": row.then, "reason": said}
        _changed("lockout.set", by, f"lockout/{row.pk}", detail)
    return row


def give_back(number: int, reason: str, by: Principal, now: datetime) -> LockOutRow:
    """End a lock-out; a token needs the scope for releasing, too. Raises NotFound, Refused, NotAllowed, ReadOnlyNow."""
    by.require(Ability.STOP_ALL)
    if by.scopes is not None and Ability.RELEASE_STOP not in by.scopes:
        # One that was made to stop things must not let them go again.
        raise NotAllowed(f"{by.name} may lock out, and has no right to release stop, which giving back needs")
    refuse_changes(by)
    said = _reason(reason)
    with transaction.atomic():
        row = LockOutRow.objects.select_for_update().filter(pk=number, ended_at=None).first()
        if row is None:
            raise NotFound(f"there is no lock-out {number} that stands")
        if person_of(row.by) != _person(by) and not by.can(Ability.MANAGE_BOX):
            raise NotAllowed(f"{row.by} has locked this out: they give it back, or an administrator does")
        row.ended_at, row.ended_by, row.ended_reason = now, by.name, said
        row.save(update_fields=["ended_at", "ended_by", "ended_reason"])
        detail: JsonObject = {"scope": row.scope, "pattern": row.pattern, "set_by": row.by, "reason": said}
        _changed("lockout.end", by, f"lockout/{row.pk}", detail)
    return row


def plan(
    name: str,
    scope: Scope,
    pattern: str,
    hours: Hours,
    by: Principal,
    now: datetime,
    *,
    reason: str = "",
    then: Then = Then.HOLD,
) -> MaintenanceWindow:
    """Plan a maintenance window. Raises Refused, NotAllowed, ReadOnlyNow."""
    by.require(Ability.EDIT_TASKS)
    refuse_changes(by)
    called = plain_text(name).strip()
    if not called or len(called) > 60 or any(sign.isspace() for sign in called):
        raise Refused("a window has a name without blanks, of at most 60 characters", hint="as line3-nights")
    _check_hours(hours, now)
    weekly = hours.weekly.model_dump(mode="json", by_alias=True) if hours.weekly else None
    try:
        with transaction.atomic():
            if MaintenanceWindow.objects.filter(removed_at=None).count() >= MOST:
                raise Refused(f"{MOST} windows are planned already, which is the most that may")
            row = MaintenanceWindow.objects.create(
                name=called,
                scope=scope.value,
                pattern=_pattern(scope, pattern),
                then=then.value,
                reason=plain_text(reason)[:LONGEST_REASON],
                weekly=weekly,
                begins=hours.begins,
                ends=hours.ends,
                by=by.name,
                created_at=now,
            )
            detail: JsonObject = {
                "scope": row.scope,
                "pattern": row.pattern,
                "then": row.then,
                "weekly": weekly,
                "begins": hours.begins.isoformat() if hours.begins else None,
                "ends": hours.ends.isoformat() if hours.ends else None,
                "reason": row.reason,
            }
            _changed("window.plan", by, f"window/{called}", detail)
    except IntegrityError as error:
        raise Refused(f"a window {called} is planned already", hint="remove it first") from error
    return row


def remove(name: str, by: Principal, now: datetime) -> None:
    """Take a window away; effects that it held go on. Raises NotFound, NotAllowed, ReadOnlyNow."""
    by.require(Ability.EDIT_TASKS)
    refuse_changes(by)
    with transaction.atomic():
        changed = MaintenanceWindow.objects.filter(name=name, removed_at=None).update(
            removed_at=now, removed_by=by.name
        )
        if not changed:
            raise NotFound(f"no window {name} is planned")
        _changed("window.remove", by, f"window/{name}", {})


def lockouts() -> list[LockOutRow]:
    """Those that stand."""
    return list(LockOutRow.objects.filter(ended_at=None).order_by("-id"))


def windows() -> list[Window]:
    """Those that are planned, as the gate reads them."""
    with connection.cursor() as cursor:
        cursor.execute(WINDOWS)
        return [window_of(_decoded(row)) for row in cursor.fetchall()]


def _decoded(row: Sequence[Any]) -> Sequence[Any]:
    """Django's own cursors leave JSON as text."""
    weekly = row[6]
    return (*row[:6], json.loads(weekly) if isinstance(weekly, str) else weekly, *row[7:])


def _changed(kind: str, by: Principal, subject: str, detail: JsonObject) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MOVE_EPOCH)
    append_here(kind, by.name, subject, detail)
    transaction.on_commit(poke_from_thread)


def _person(by: Principal) -> str:
    person = person_of(by.name)
    if person is None or by == CONSOLE:
        raise Refused(f"{by.name} is no person: a lock-out carries somebody's name")
    return person


def _reason(reason: str) -> str:
    said = plain_text(reason).strip()[:LONGEST_REASON]
    if not said:
        raise Refused("say why", hint="the reason is shown to everybody who meets the lock-out")
    return said


def _pattern(scope: Scope, pattern: str) -> str:
    text = plain_text(pattern).strip()
    if scope is Scope.BOX:
        return ""
    if not text or len(text) > 300:
        raise Refused(f"which {scope}?", hint="a name, or for a topic a filter such as line3/+/cmd")
    fault = filter_fault(text) if scope is Scope.TOPIC else None
    if fault is not None:
        raise Refused(fault[0], hint=fault[1])
    return text


def _check_hours(hours: Hours, now: datetime) -> None:
    if hours.weekly is not None:
        return
    if hours.begins is None or hours.ends is None:
        raise Refused("a window has weekly hours, or a beginning and an end")
    if hours.ends <= hours.begins or hours.ends <= now:
        raise Refused("the end must be later than the beginning, and than now")
