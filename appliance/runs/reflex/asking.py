"""What has to be acknowledged of a group's messages: written in its transaction, before its one statement."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.escalations.opening import open_one
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.writer import WriteRuns


def opening(landed: Sequence[Flight]) -> WriteRuns:
    """It makes no runs."""

    async def write(connection: AsyncConnection[Any]) -> Sequence[UUID]:
        for flight in landed:
            for new in flight.escalations:
                await open_one(connection, new)
        return ()

    return write
