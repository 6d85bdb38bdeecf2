"""The second step of a log-in: who has one, and what happened to it. django-allauth keeps and checks the factors."""

from enum import StrEnum
from typing import TYPE_CHECKING, TypedDict

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from appliance.accounts.announcing import announce
from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.accounts.services import get_user

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class _Known(TypedDict):
        two_step: bool

    Person = WithAnnotations[User, _Known]

_TOTP = Authenticator.Type.TOTP


class Change(StrEnum):
    """What can happen to somebody's second step, as events and the audit record name it."""

    ON = "two_step_on"
    OFF = "two_step_off"
    RESET = "two_step_reset"
    NEW_CODES = "recovery_codes"
    CODE_USED = "recovery_code_used"


def has_two_step(user: User) -> bool:
    """Whether a password alone does not let this person in."""
    factors = Authenticator.objects.filter(user_id=user.pk, type=_TOTP)
    return bool(factors.exists())


def people() -> "QuerySet[Person]":
    """Everybody by name, each with ``two_step``: whether they have a second step."""
    factors = Authenticator.objects.filter(user_id=OuterRef("pk"), type=_TOTP)
    return User.objects.annotate(two_step=Exists(factors)).order_by("username")


def put_on_record(user: User, change: Change) -> None:
    """What a person did to their own second step; call it in the transaction that does it."""
    announce(user, change.value, user.principal, {})


@transaction.atomic
def reset_two_step(username: str, by: Principal) -> bool:
    """Take somebody's second step and recovery codes away: their password alone lets them in again.

    False when there was none. Raises NotAllowed, NoSuchUser.
    """
    by.require(Ability.MANAGE_USERS)
    user = get_user(username)
    removed, _ = Authenticator.objects.filter(user_id=user.pk).delete()
    if removed:
        announce(user, Change.RESET.value, by, {})
    return bool(removed)
