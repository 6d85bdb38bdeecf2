"""Telling the screens of a change of a person, and putting it on record."""

from django.db import connection

from appliance.accounts import trail
from appliance.accounts.models import User
from appliance.accounts.principal import Principal
from appliance.events import AccountChanged
from appliance.events.services import record
from appliance.lib.jsontypes import JsonMapping


def announce(user: User, change: str, by: Principal, detail: JsonMapping) -> None:
    """One event and one record, in the current transaction."""
    with connection.cursor() as cursor:
        record(cursor, AccountChanged(username=user.username, change=change, principal=by.name))
    trail.put(f"account.{change}", by.name, user.principal.name, detail)
