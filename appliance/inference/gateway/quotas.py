"""How much a token, or whoever has a role, may use of the models in a day. The doors of those who decide that."""

import re
from collections.abc import Sequence
from datetime import date, datetime

from django.db import connection, transaction

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import ApiToken
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.inference.errors import ModelRefused
from appliance.inference.gateway import sql
from appliance.inference.gateway.meter import Limit
from appliance.inference.models import ModelUse, Quota
from appliance.lib.jsontypes import JsonObject
from appliance.safety.read_only import refuse_changes

_TOKEN = re.compile(r"token:(?P<user>[^/]+)/(?P<name>.+)")
_MOST = 2**53


def list_quotas() -> Sequence[Quota]:
    return list(Quota.objects.order_by("subject"))


def used_on(day: date) -> Sequence[ModelUse]:
    """What every token used on a day (UTC)."""
    return list(ModelUse.objects.filter(day=day).order_by("token"))


@transaction.atomic
def set_quota(subject: str, limit: Limit, by: Principal, now: datetime) -> None:
    """``subject``: ``token:<person>/<name>`` or ``role:<role>``. Raises NotAllowed, ModelRefused."""
    by.require(Ability.MANAGE_USERS)
    refuse_changes(by)
    _check(subject, limit)
    given = {"subject": subject, "requests": limit.requests, "tokens": limit.tokens}
    with connection.cursor() as cursor:
        cursor.execute(sql.SET_QUOTA, {**given, "now": now, "by": by.name})
    detail: JsonObject = {"requests": limit.requests, "tokens": limit.tokens}
    append_here("model.quota", by.name, subject, detail)


@transaction.atomic
def remove_quota(subject: str, by: Principal) -> bool:
    """No limit any more; False where there was none. Raises NotAllowed."""
    by.require(Ability.MANAGE_USERS)
    refuse_changes(by)
    with connection.cursor() as cursor:
        cursor.execute(sql.REMOVE_QUOTA, {"subject": subject})
        removed = bool(cursor.rowcount)
    if removed:
        append_here("model.quota", by.name, subject, {"requests": None, "tokens": None})
    return removed


def _check(subject: str, limit: Limit) -> None:
    kind, _, rest = subject.partition(":")
    token = _TOKEN.fullmatch(subject)
    if token is not None:
        known = ApiToken.objects.filter(user__username=token["user"], name=token["name"]).exists()
    else:
        known = kind == "role" and rest in set(Role)
    if not known:
        raise ModelRefused(
            f"there is no {subject!r}", hint="token:PERSON/NAME of a token, or role:operator and the like"
        )
    if any(one is not None and not 0 <= one <= _MOST for one in (limit.requests, limit.tokens)):
        raise ModelRefused("a limit is a whole number from 0")
