"""The keeper's ledger on the database."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.events import ModelChanged
from appliance.events.services import record_async
from appliance.inference import sql
from appliance.inference.acceptance import sql as acceptance_sql
from appliance.inference.backends.contract import Footprint
from appliance.inference.scheduling.ports import Change, Learned, Served
from appliance.lib.clock import Clock
from appliance.lib.digest import sha256_hex
from appliance.lib.plain import plain_text

KEEP_TRIES = 20


class Records:
    """``told`` is called after each change that was committed."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._told = told
        self._pool = pool
        self._clock = clock

    async def next_generation(self) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(sql.NEXT_GENERATION)).fetchone()
        assert row is not None
        return int(row[0])

    async def changed(self, change: Change) -> None:
        values = {**asdict(change), "state": change.state.value, "reason": plain_text(change.reason)[:1000]}
        told = ModelChanged(change.model, change.state.value, values["reason"], version=change.version)
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.CHANGED, values)
            await record_async(connection, told)
        self._told()

    async def prune(self, keep: timedelta) -> None:
        """Forget what became of models so long ago, and tests beyond the newest of each."""
        async with self._pool.connection() as connection:
            await connection.execute(sql.PRUNE, {"before": self._clock.now() - keep})
            await connection.execute(acceptance_sql.PRUNE, {"keep": KEEP_TRIES})

    async def learned(self, served: Served) -> Learned:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(sql.LEARNED, {"key": key_of(served)})).fetchone()
        if row is None:
            return Learned(None, None)
        known = row[0] is not None or row[1] is not None
        return Learned(Footprint(row[0] or 0, row[1] or 0, measured=True) if known else None, row[2])

    async def learn(self, served: Served, learned: Learned) -> None:
        footprint = learned.footprint
        values = {
            "key": key_of(served),
            "model": served.manifest.name,
            "device_bytes": footprint.device if footprint else None,
            "memory_bytes": footprint.memory if footprint else None,
            "load_seconds": learned.load_seconds,
            "at": self._clock.now(),
        }
        async with self._pool.connection() as connection:
            await connection.execute(sql.LEARN, values)


def key_of(served: Served) -> str:
    """Of what a footprint depends on: the model's content, the engine and how it is run."""
    profile = served.profile
    options = {str(name): value for name, value in profile.options.items()}
    return sha256_hex(
        [
            served.manifest.digest,
            profile.engine.value,
            profile.context,
            profile.slots,
            profile.device,
            options,
        ]
    )
