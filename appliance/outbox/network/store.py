"""The durable side: states, facts and edges in one transaction with the events that tell of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.events.services import record_many_async
from appliance.lib.plain import plain_text
from appliance.outbox.network import sql
from appliance.outbox.network.domain import (
    Edge,
    Endpoint,
    Known,
    Opinion,
    Reach,
    TargetKind,
    edges,
    overall,
)
from appliance.outbox.network.links import Links
from appliance.outbox.services import wake_platform


class NetworkStore:
    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def want(self, endpoints: Sequence[Endpoint], now: datetime) -> dict[str, Reach]:
        """Make the rows those of ``endpoints``; gives what was known of each before."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                sql.WANT,
                {
                    "names": [one.name for one in endpoints],
                    "kinds": [one.kind.value for one in endpoints],
                    "hosts": [one.host for one in endpoints],
                    "ports": [one.port for one in endpoints],
                    "now": now,
                },
            )
            await connection.execute(sql.FORGET, {"names": [one.name for one in endpoints]})
            return {target.name: target.reach for target in await _known(connection)}

    async def settle(
        self, opinions: Mapping[str, Opinion], links: Links, now: datetime, note: str = ""
    ) -> list[Edge]:
        """Write a round of looks down, with an event for each edge; what waited for a target that is back is due."""
        async with self._pool.connection() as connection, connection.transaction():
            known = await _known(connection)
            found = edges(known, opinions, now)
            told = [edge for edge in found if await self._turn(connection, edge.target, edge.reach, now)]
            silent = {edge.target.name for edge in found}
            for target in known:
                opinion = opinions.get(target.name)
                if opinion and target.name not in silent and opinion.reach is not Reach.UNKNOWN:
                    await self._turn(connection, target, opinion.reach, now)
            await self._looked(connection, opinions, now)
            await self._facts(connection, opinions, links, now, note)
            await record_many_async(connection, [event for edge in told if (event := edge.event)])
            for edge in told:
                if edge.target.kind is TargetKind.PLATFORM and edge.reach is Reach.UP:
                    await wake_platform(connection, edge.target.name)
        return told

    async def _turn(
        self, connection: AsyncConnection[Any], target: Known, reach: Reach, now: datetime
    ) -> bool:
        if target.reach is reach:
            return False
        cursor = await connection.execute(
            sql.TURN,
            {
                "name": target.name,
                "before": target.reach.value,
                "state": reach.value,
                "lost": int(reach is Reach.DOWN),
                "now": now,
            },
        )
        return cursor.rowcount == 1

    async def _looked(
        self, connection: AsyncConnection[Any], opinions: Mapping[str, Opinion], now: datetime
    ) -> None:
        names = sorted(opinions)
        await connection.execute(
            sql.LOOKED,
            {
                "names": names,
                "reasons": [plain_text(opinions[name].answer.reason)[:300] for name in names],
                "ms": [opinions[name].answer.milliseconds for name in names],
                "now": now,
            },
        )

    async def _facts(
        self,
        connection: AsyncConnection[Any],
        opinions: Mapping[str, Opinion],
        links: Links,
        now: datetime,
        note: str,
    ) -> None:
        named = [one.answer.named for one in opinions.values() if one.answer.named is not None]
        await connection.execute(
            sql.FACTS,
            {
                "condition": overall(await _known(connection)).value,
                "interfaces": Jsonb(list(links.interfaces)),
                "default_route": links.default_route,
                "names_found": any(named) if named else None,
                "note": note,
                "now": now,
            },
        )


async def _known(connection: AsyncConnection[Any]) -> list[Known]:
    cursor = await connection.execute(sql.KNOWN)
    return [
        Known(name, TargetKind(kind), Reach(state), since)
        for name, kind, state, since in await cursor.fetchall()
    ]
