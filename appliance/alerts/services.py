"""Applying, showing and going back: the only door to the alert rules for other areas. Versions are never changed."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.alerts.errors import RulesMoved, RulesNotFound
from appliance.alerts.loading import LoadedRules, load_rules, shipped
from appliance.alerts.models import Alert, Position, RulesVersion
from appliance.audit.services import append_here
from appliance.bridges.services import platforms
from appliance.events.hints import poke_from_thread
from appliance.lib.jsontypes import JsonObject
from appliance.safety.read_only import refuse_changes


@dataclass(frozen=True, slots=True)
class Applied:
    """``changed`` is False where exactly this text is in force already."""

    version: RulesVersion
    changed: bool


def current() -> RulesVersion | None:
    """The version in force; None: the rules that the box came with."""
    return RulesVersion.objects.first()


def rules_in_force() -> LoadedRules:
    """Raises RulesRefused where the text of an older version of the box is not understood any more."""
    standing = current()
    return load_rules(standing.text, f"version {standing.number}") if standing else shipped()


def history(before: int | None = None, limit: int = 50) -> list[RulesVersion]:
    """Versions, the newest first, from the one before number ``before``."""
    rows = RulesVersion.objects.all()
    return list((rows.filter(number__lt=before) if before else rows)[:limit])


def version(number: int) -> RulesVersion:
    """Raises RulesNotFound."""
    found = RulesVersion.objects.filter(number=number).first()
    if found is None:
        raise RulesNotFound(f"the alert rules have no version {number}")
    return found


def check(text: str, filename: str) -> LoadedRules:
    """What ``apply`` would say of a text; nothing is changed. Raises RulesRefused."""
    return load_rules(text, filename, platforms=[one.name for one in platforms()])


def apply(
    text: str,
    filename: str,
    by: Principal,
    now: datetime,
    *,
    expected: int | None = None,
    of: int | None = None,
) -> Applied:
    """Put a text in force. ``expected`` is the version that its author began with (0: none); ``of`` the one that it
    brings back. It counts from the next look at the record, a quarter of a second later.

    Raises RulesRefused with every problem, RulesMoved, NotAllowed, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_POLICY)
    refuse_changes(by)
    loaded = check(text, filename)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('alerts_rules'))")
        standing = current()
        number = standing.number if standing else 0
        if expected is not None and expected != number:
            raise RulesMoved(
                f"version {number} of the alert rules is in force by now; you began with {expected}",
                hint="look at what changed, and apply again",
            )
        if standing is not None and standing.digest == loaded.digest:
            return Applied(standing, changed=False)
        made = RulesVersion.objects.create(
            number=number + 1,
            name=loaded.file.name,
            text=text,
            digest=loaded.digest,
            author=by.name,
            created_at=now,
        )
        detail: JsonObject = {
            "version": made.number,
            "digest": made.digest,
            "name": made.name,
            "before": number,
            "of": of,
        }
        append_here("alerts.apply" if of is None else "alerts.rollback", by.name, "alerts", detail)
        transaction.on_commit(poke_from_thread)
    return Applied(made, changed=True)


def rollback(number: int, by: Principal, now: datetime, *, expected: int | None = None) -> Applied:
    """Put an earlier text in force again, as a new version. Raises as ``apply``, RulesNotFound."""
    by.require(Ability.MANAGE_POLICY)
    refuse_changes(by)
    wanted = version(number)
    return apply(wanted.text, f"version {number}", by, now, expected=expected, of=number)


def alerts(before: int | None = None, limit: int = 50, rule: str = "") -> list[Alert]:
    """The newest first, from the one before ``before``."""
    rows = Alert.objects.all()
    if rule:
        rows = rows.filter(rule=rule)
    return list((rows.filter(pk__lt=before) if before else rows)[:limit])


def read_up_to() -> int | None:
    """The last record that was looked at for alerts: what follows must be kept. None: nobody has looked yet."""
    return Position.objects.values_list("seq", flat=True).first()


def forget(before: datetime) -> None:
    """Drop alerts of long ago; the record that made them has its own retention."""
    Alert.objects.filter(opened_at__lt=before, due_at__isnull=True).delete()
