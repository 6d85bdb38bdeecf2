"""What a step writes beside its own row, under the lease of its run: a stale worker writes nothing of it (P4)."""

from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection

from appliance.runs import sql
from appliance.runs.rows import LeaseLost
from appliance.runs.walk import Walk


class RunFence:
    """The run stays ours until the commit of the transaction in which it was asked; else LeaseLost is raised."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    async def hold(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute(sql.HELD, self._walk.lease.parameters)
        self._held(await cursor.fetchone())

    def hold_here(self) -> None:
        values: dict[str, Any] = {**self._walk.lease.parameters}
        with django_connection.cursor() as cursor:
            cursor.execute(sql.HELD, values)
            self._held(cursor.fetchone())

    def _held(self, row: object) -> None:
        if row is None:
            raise LeaseLost(f"run {self._walk.row.id} is held by another worker")
