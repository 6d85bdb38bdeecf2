"""Whether accounts are as they should be: second steps, tokens, people who are not here any more."""

from datetime import timedelta

from django.db.models import Q

from appliance.accounts.domain import Role
from appliance.accounts.models import ApiToken, MqttGrant, User
from appliance.accounts.two_step import people
from appliance.lib.doctor import Check, Found, Patient, Severity, absent, either, good

LONG = timedelta(days=90)


def _names(found: list[str]) -> str:
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(found[:5]) + more


def _admins(patient: Patient) -> Found:
    names = [user.username for user in User.objects.filter(role=Role.ADMIN.value, is_active=True)]
    if not names:
        return either(False, "there is none: whoever has the set-up link becomes one")
    return good(_names(names))


def _second_step(patient: Patient) -> Found:
    without = [
        user.username
        for user in people().filter(is_active=True, role__in=[Role.ADMIN.value, Role.ENGINEER.value])
        if not user.two_step
    ]
    return either(not without, f"without: {_names(without)}" if without else "")


def _required(patient: Patient) -> Found:
    roles = patient.config.two_step_roles
    return either(Role.ADMIN.value in roles, ", ".join(sorted(roles)) or "of nobody")


def _endless(patient: Patient) -> Found:
    rows = ApiToken.objects.select_related("user").filter(revoked_at__isnull=True, expires_at__isnull=True)
    found = [f"{row.user.username}/{row.name}" for row in rows]
    return either(not found, _names(found))


def _idle_tokens(patient: Patient) -> Found:
    live = ApiToken.objects.select_related("user").filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=patient.now), revoked_at__isnull=True
    )
    idle = Q(last_used_at__lt=patient.now - LONG) | Q(
        last_used_at__isnull=True, created_at__lt=patient.now - LONG
    )
    found = [f"{row.user.username}/{row.name}" for row in live.filter(idle)]
    return either(not found, _names(found))


def _idle_people(patient: Patient) -> Found:
    since = patient.now - LONG
    idle = Q(last_login__lt=since) | Q(last_login__isnull=True, date_joined__lt=since)
    rows = User.objects.filter(idle, is_active=True).exclude(role=Role.VIEWER.value)
    found = [user.username for user in rows]
    return either(not found, _names(found))


def _commanders(patient: Patient) -> Found:
    rows = list(MqttGrant.objects.order_by("account"))
    if not rows:
        return absent("no MQTT account gives commands")
    strong = [row.account for row in rows if Role(row.role).covers(Role.ENGINEER)]
    return either(not strong, f"as engineer: {_names(strong)}" if strong else f"{len(rows)} as operator")


CHECKS = (
    Check(
        "MW-S020", "There is an administrator", Severity.HIGH, _admins,
        "open the address that `manage.py setup_link` prints",
    ),
    Check(
        "MW-S021", "Administrators and engineers log in in two steps", Severity.MEDIUM, _second_step,
        "they switch it on under their name; `MILLWRIGHT_TWO_STEP_ROLES=admin,engineer` makes them",
    ),
    Check(
        "MW-S022", "A second step is required of administrators", Severity.MEDIUM, _required,
        "set `MILLWRIGHT_TWO_STEP_ROLES=admin,engineer`",
    ),
    Check(
        "MW-S023", "Every API token ends some day", Severity.LOW, _endless,
        "make new ones with an end on the page API tokens, then revoke these",
    ),
    Check(
        "MW-S024", "Every API token is in use", Severity.LOW, _idle_tokens,
        "revoke what nobody has used for 90 days",
    ),
    Check(
        "MW-S025", "Everybody who may act was here within 90 days", Severity.LOW, _idle_people,
        "lock out who is not with you any more: `manage.py users disable NAME`",
    ),
    Check(
        "MW-S026", "MQTT accounts give commands as operators at most", Severity.MEDIUM, _commanders,
        "`manage.py devices commands NAME operator`: who has that device's password has its role",
    ),
)  # fmt: skip
