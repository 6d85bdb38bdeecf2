"""How a change of what is served is written: one statement, its event, a hint for the keeper, and its record."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.events import ModelChanged
from appliance.events.services import record
from appliance.inference.acceptance import sql as acceptance_sql
from appliance.inference.errors import ModelRefused
from appliance.inference.sql import HINT

FASTER = "somebody else has changed it meanwhile"


def write(
    query: str,
    values: Mapping[str, Any],
    by: Principal,
    now: datetime,
    event: ModelChanged,
    said: Mapping[str, Any],
    *,
    instead_of_candidate: bool = False,
) -> None:
    """``instead_of_candidate``: the last word on what a name is to serve counts, and what is being tested is gone.

    Raises NotAllowed, ModelRefused where somebody was faster.
    """
    by.require(Ability.MANAGE_MODELS)
    what = f"work/{values['work']}" if "work" in values else f"model/{values['name']}"
    told = ModelChanged(event.model, event.change, event.reason, event.version, by.name)
    with transaction.atomic(), connection.cursor() as cursor:
        if instead_of_candidate:
            # Before what is live: as the verdict does, so that the two never wait for each other.
            cursor.execute(acceptance_sql.DROP, {"name": values["name"]})
        cursor.execute(query, {**values, "at": now, "by": by.name})
        if cursor.rowcount != 1:
            raise ModelRefused(FASTER, hint="look at it again, and say it once more")
        cursor.execute(HINT)
        record(cursor, told)
        append_here(f"model.{event.change}", by.name, what, said)
