"""Applying, showing and going back: the only door to the policy for other areas. Versions are never changed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.events.hints import poke_from_thread
from appliance.lib.located.issues import Issue
from appliance.lib.located.report import Report
from appliance.lib.located.yaml_reader import read_yaml
from appliance.safety.epoch import MOVE_EPOCH
from appliance.safety.models import PolicyInForce, PolicyVersion
from appliance.safety.policy.decision import LayerPolicy, Policy
from appliance.safety.policy.errors import PolicyMoved, PolicyNotFound, PolicyRefused, PolicyUnreadable
from appliance.safety.policy.facts import Classify
from appliance.safety.policy.keeper import READ, policy_of
from appliance.safety.policy.loading import LoadedPolicy, load_policy
from appliance.safety.policy.model import PolicyFile
from appliance.safety.policy.vocabulary import Answer, Layer
from appliance.safety.read_only import refuse_changes
from appliance.safety.understood import classify as classify_command


@dataclass(frozen=True, slots=True)
class Applied:
    """``changed`` is False where exactly this text is in force already."""

    version: PolicyVersion
    changed: bool


def current(layer: Layer) -> PolicyVersion | None:
    """The version of a layer that is in force; None: nobody has applied one."""
    row = PolicyInForce.objects.select_related("version").filter(pk=layer.value).first()
    return row.version if row else None


def in_force() -> list[PolicyInForce]:
    """What is in force, with who put it there when."""
    return list(PolicyInForce.objects.select_related("version").order_by("layer"))


def policy_in_force() -> Policy:
    """All layers together, as the gate decides by them. Raises PolicyUnreadable."""
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return policy_of(cursor.fetchall())


def history(layer: Layer, before: int | None = None, limit: int = 50) -> list[PolicyVersion]:
    """Versions of a layer, the newest first, from the one before number ``before``."""
    rows = PolicyVersion.objects.filter(layer=layer.value).order_by("-number")
    return list((rows.filter(number__lt=before) if before else rows)[:limit])


def version(layer: Layer, number: int) -> PolicyVersion:
    """Raises PolicyNotFound."""
    found = PolicyVersion.objects.filter(layer=layer.value, number=number).first()
    if found is None:
        raise PolicyNotFound(f"the {layer} policy has no version {number}")
    return found


def check(
    text: str, filename: str, kinds: Collection[str], classify: Classify = classify_command
) -> LoadedPolicy:
    """What ``apply`` would say of a text; nothing is changed. Raises PolicyRefused."""
    loaded = load_policy(text, filename, kinds=kinds, classify=classify, beside=_beside())
    _refuse_empty_roles(loaded, filename)
    return loaded


def apply(
    text: str,
    filename: str,
    by: Principal,
    now: datetime,
    *,
    kinds: Collection[str],
    classify: Classify = classify_command,
    expected: int | None = None,
) -> Applied:
    """Put a text in force for its layer. ``expected`` is the version that its author began with (0: none).

    Raises PolicyRefused with every problem, PolicyMoved, NotAllowed, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_POLICY)
    refuse_changes(by)
    with transaction.atomic():
        _alone()
        loaded = check(text, filename, kinds, classify)
        layer = loaded.file.layer
        standing = current(layer)
        _refuse_moved(layer, standing, expected)
        if standing is not None and standing.digest == loaded.digest:
            return Applied(standing, changed=False)
        last = PolicyVersion.objects.filter(layer=layer.value).order_by("-number").first()
        made = PolicyVersion.objects.create(
            layer=layer.value,
            number=last.number + 1 if last else 1,
            name=loaded.file.name,
            text=text,
            digest=loaded.digest,
            author=by.name,
            created_at=now,
        )
        _put_in_force(made, by, now, "policy.apply", standing)
    return Applied(made, changed=True)


def rollback(
    layer: Layer,
    number: int,
    by: Principal,
    now: datetime,
    *,
    kinds: Collection[str],
    classify: Classify = classify_command,
    expected: int | None = None,
) -> Applied:
    """Put an earlier version in force again; it is checked as if it were new. Raises as ``apply``, PolicyNotFound."""
    by.require(Ability.MANAGE_POLICY)
    refuse_changes(by)
    wanted = version(layer, number)
    with transaction.atomic():
        _alone()
        check(wanted.text, f"{layer} version {number}", kinds, classify)
        standing = current(layer)
        _refuse_moved(layer, standing, expected)
        if standing is not None and standing.pk == wanted.pk:
            return Applied(wanted, changed=False)
        _put_in_force(wanted, by, now, "policy.rollback", standing)
    return Applied(wanted, changed=True)


def _alone() -> None:
    """Nobody else changes any layer before this transaction ends: layers are checked together."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('safety_policy'))")


def _refuse_moved(layer: Layer, standing: PolicyVersion | None, expected: int | None) -> None:
    number = standing.number if standing else 0
    if expected is not None and expected != number:
        raise PolicyMoved(
            f"version {number} of the {layer} policy is in force by now; you began with {expected}",
            hint="look at what changed, and apply again",
        )


def _put_in_force(
    made: PolicyVersion, by: Principal, now: datetime, kind: str, before: PolicyVersion | None
) -> None:
    PolicyInForce.objects.update_or_create(
        layer=made.layer, defaults={"version": made, "since": now, "by": by.name}
    )
    with connection.cursor() as cursor:
        cursor.execute(MOVE_EPOCH)
    append_here(
        kind,
        by.name,
        f"policy/{made.layer}",
        {
            "version": made.number,
            "digest": made.digest,
            "name": made.name,
            "before": before.number if before else 0,
        },
    )
    transaction.on_commit(poke_from_thread)


def _beside() -> Sequence[LayerPolicy]:
    """The layers in force; none where they cannot be read: it must be possible to mend that."""
    try:
        return policy_in_force().layers
    except PolicyUnreadable:
        return ()


def _refuse_empty_roles(loaded: LoadedPolicy, filename: str) -> None:
    """A rule that asks somebody whom nobody is would be a denial in disguise."""
    report = Report(loaded.text, filename, read_yaml(loaded.text))
    held = {
        Role(role) for role in User.objects.filter(is_active=True).values_list("role", flat=True).distinct()
    }
    for place, role in _asked(loaded.file):
        if not any(one.covers(role) for one in held):
            said = f"nobody has the role {role} or more, so nobody could approve"
            report.add(place, Issue((), said, hint="manage.py users add makes somebody"))
    if report.problems:
        raise PolicyRefused(report.in_order())


def _asked(file: PolicyFile) -> list[tuple[tuple[str | int, ...], Role]]:
    found: list[tuple[tuple[str | int, ...], Role]] = []
    for place, rule in enumerate(file.rules):
        if rule.decide is Answer.ASK:
            key = "approvers" if rule.approvers else "decide"
            found.append((("rules", place, key), rule.approvers or Role.OPERATOR))
    return found
