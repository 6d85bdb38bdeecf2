"""Hints from screens to the reactor, sent at the commit: never for a change that was not made."""

from django.db import connection as django_connection

from appliance.bridges import sql
from appliance.outbox.holding import release_now
from appliance.outbox.services import wake_platform_now

PLATFORMS = "platforms"
INBOUND = "inbound"


def hint(payload: str) -> None:
    """Tell the reactor at this transaction's commit."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.NOTIFY, {"channel": sql.HINT_CHANNEL, "payload": payload})


def platform_changed(name: str) -> None:
    """After the commit the hub looks at its platforms, and the sender at what waited for this one or was held."""
    hint(PLATFORMS)
    wake_platform_now(name)
    release_now(name)
