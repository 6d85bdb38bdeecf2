"""Giving a person a higher role on some tasks, topics, devices and secrets, and taking it back."""

from datetime import datetime

from django.db import transaction

from appliance.accounts.announcing import announce
from appliance.accounts.domain import Ability
from appliance.accounts.errors import GrantRefused
from appliance.accounts.grants import MOST, Grant
from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.accounts.services import get_user


@transaction.atomic
def grant(username: str, wanted: Grant, by: Principal, now: datetime) -> bool:
    """Let a person do more on some tasks, topics, devices and secrets. False where they had this very grant already.

    Raises NotAllowed, NoSuchUser, GrantRefused.
    """
    by.require(Ability.MANAGE_USERS)
    wanted = wanted.checked()
    user = _held(username)
    if wanted in user.granted:
        return False
    if len(user.grants) >= MOST:
        raise GrantRefused(f"{username} has {MOST} grants already", hint="one pattern can name many tasks")
    row = {**wanted.to_json(), "like": wanted.like, "by": by.name, "at": now.isoformat()}
    user.grants = [*user.grants, row]
    user.save(update_fields=["grants"])
    announce(user, "granted", by, wanted.to_json())
    return True


@transaction.atomic
def withdraw(username: str, unwanted: Grant, by: Principal) -> bool:
    """Take a grant back; it ends at once, for steps that wait as well. False where they had no such grant.

    Raises NotAllowed, NoSuchUser.
    """
    by.require(Ability.MANAGE_USERS)
    user = _held(username)
    kept = [row for row, known in zip(user.grants, user.granted, strict=True) if known != unwanted]
    if len(kept) == len(user.grants):
        return False
    user.grants = kept
    user.save(update_fields=["grants"])
    announce(user, "withdrawn", by, unwanted.to_json())
    return True


def _held(username: str) -> User:
    """The person, locked: two administrators at once would each lose the other's grant."""
    return User.objects.select_for_update().get(pk=get_user(username).pk)
