"""``/mcp`` put together: the box's desk, and the table by which a call that comes twice is known."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection, transaction

from appliance.agent.errors import McpRefused
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.processes import answered
from webadmin.mcp.limits import ALL_SESSIONS, IDLE, LARGEST

if TYPE_CHECKING:
    from appliance.agent.mcp.server.application import Application


VERSION = "1"
"""Of what the box offers here, as in ``/api/v1``."""


def application() -> "Application":
    """Heavy: it loads the SDK."""
    from appliance.agent.mcp.server.application import Application
    from appliance.agent.mcp.server.desk import Desk
    from appliance.lib.clock import SystemClock

    return Application(
        Desk(SystemClock(), once), VERSION, idle=IDLE, most_sessions=ALL_SESSIONS, largest=LARGEST
    )


def once(key: str, digest: str, now: datetime, work: Callable[[], JsonObject]) -> JsonObject:
    """Do it and keep what it gave, in one transaction; what refused may be asked for again under its name."""
    failed: MillwrightError | None = None
    given: JsonObject = {}
    with transaction.atomic(), connection.cursor() as cursor:
        kept = answered.claim(cursor, key, now)
        if kept is not None:
            result = kept.get("result")
            if kept.get("digest") != digest or not isinstance(result, dict):
                raise McpRefused("another call had this name", hint="give each call a name of its own")
            return result
        try:
            given = work()
        except MillwrightError as error:
            # What it put on record about the refusal is to stay.
            failed = error
            answered.let_go(cursor, key)
        else:
            answered.keep(cursor, key, {"digest": digest, "result": given})
    if failed is not None:
        raise failed
    return given
