"""The sender's rows: every function is one short transaction."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.events import DeliveryChanged
from appliance.events.services import record_async, record_many_async
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object, plain_text
from appliance.outbox import holding, sql, sql_folding
from appliance.outbox.domain import Breaker, OutboxState
from appliance.outbox.errors import DeliveryError, NotReady
from appliance.outbox.folding import Fold
from appliance.outbox.ports import Hold, Parcel, Receipt
from appliance.outbox.sql_holding import EXPIRE_HELD

EXPIRE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """A parcel that this sender holds, the fencing token of its lease, and what was last said of it."""

    parcel: Parcel
    epoch: int
    reason: str
    fold: Fold | None = None
    """What leaves with it as one digest; the parcel is then the last of them, and among them."""

    @property
    def leases(self) -> list[tuple[UUID, int]]:
        """Every item that it holds, with its fencing token."""
        return (
            [(row.id, row.epoch) for row in self.fold.rows] if self.fold else [(self.parcel.id, self.epoch)]
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a run's item, for the run."""

    id: UUID
    run_id: UUID
    step_id: str
    state: OutboxState
    reason: str
    receipt: JsonObject | None


class OutboxLedger:
    """Claims and their ends, over one connection pool."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock, owner: str, lease: timedelta
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._owner = owner
        self._lease = lease

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._pool.connection() as connection, connection.transaction():
            yield connection

    async def breakers(self) -> dict[str, Breaker]:
        """How the platforms' breakers stood, by whoever sent last."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.BREAKERS)
            return {name: Breaker(failures, until) for name, failures, until in await cursor.fetchall()}

    async def claim(
        self, limit: int, per_platform: int, rooms: Mapping[str, int], held: Sequence[str]
    ) -> list[Claim]:
        """Take the first due item of up to ``limit`` targets, none of them in ``held``; of each platform as many
        as it has room for, ``per_platform`` where ``rooms`` does not say."""
        async with self._transaction() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                sql.CLAIM,
                {
                    "now": self._clock.now(),
                    "lease": self._lease,
                    "owner": self._owner,
                    "limit": limit,
                    "per_platform": per_platform,
                    "resting": [name for name, room in rooms.items() if room <= 0],
                    "platforms": list(rooms),
                    "rooms": list(rooms.values()),
                    "held": list(held),
                },
            )
            return [_claimed(row) for row in await cursor.fetchall()]

    async def renew(self, claims: Sequence[Claim]) -> None:
        leases = [lease for claim in claims for lease in claim.leases]
        async with self._transaction() as connection:
            await connection.execute(
                sql.RENEW,
                {
                    "now": self._clock.now(),
                    "lease": self._lease,
                    "ids": [lease[0] for lease in leases],
                    "epochs": [lease[1] for lease in leases],
                },
            )

    async def clock_set_back(self) -> None:
        """Nothing waits until the clock is there again."""
        async with self._transaction() as connection:
            values = {"now": self._clock.now(), "lease": self._lease}
            await connection.execute(sql.CLOCK_SET_BACK, values)
            await holding.release(connection)

    async def hold(self, claim: Claim, given: Hold) -> int:
        """Take the item and all alike behind it out of the line; gives how many, 0 when it is another's now."""
        async with self._transaction() as connection:
            return await holding.hold(connection, claim.parcel, claim.epoch, given, claim.reason)

    async def release_due(self) -> None:
        """What is held no longer than until now goes back into its line."""
        async with self._transaction() as connection:
            await holding.release_due(connection, self._clock.now())

    async def ask_again(self) -> None:
        """Have every held item looked at: its hold may be of another clock, or have ended without anybody here."""
        async with self._transaction() as connection:
            await holding.release(connection)

    async def delivered(self, claim: Claim, receipt: Receipt, breaker: Breaker) -> bool:
        """False when another sender holds the item now: nothing was written (P4)."""
        note, plain = receipt.note, plain_object(receipt.to_json())
        return await self._finish(claim, OutboxState.DELIVERED, note, plain, breaker)

    async def failed(self, claim: Claim, error: DeliveryError, breaker: Breaker) -> bool:
        return await self._finish(claim, OutboxState.FAILED, str(error), None, breaker)

    async def _finish(
        self, claim: Claim, state: OutboxState, reason: str, receipt: JsonObject | None, breaker: Breaker
    ) -> bool:
        reason = plain_text(reason)[:1000]
        async with self._transaction() as connection:
            cursor = await connection.execute(
                sql.FINISH,
                {
                    "id": claim.parcel.id,
                    "epoch": claim.epoch,
                    "state": state.value,
                    "reason": reason,
                    "receipt": Jsonb(receipt) if receipt is not None else None,
                    "now": self._clock.now(),
                },
            )
            if cursor.rowcount != 1:
                return False
            said = "" if state is OutboxState.DELIVERED else reason
            await self._took(connection, claim, breaker, said, **{state.value: 1})
            await record_async(connection, _changed(claim.parcel, state, reason))
            return True

    async def postponed(self, claim: Claim, error: DeliveryError, pause: float, breaker: Breaker) -> None:
        """Give the item back until ``pause`` seconds from now. What was not tried is not an attempt."""
        reason = plain_text(str(error))[:1000]
        async with self._transaction() as connection:
            cursor = await connection.execute(
                sql.POSTPONE,
                {
                    "id": claim.parcel.id,
                    "epoch": claim.epoch,
                    "reason": reason,
                    "next_at": self._clock.now() + timedelta(seconds=pause),
                    "parts_done": error.parts_done,
                    "refund": 1 if isinstance(error, NotReady) else 0,
                    "maybe_sent": error.maybe_sent,
                },
            )
            await self._took(connection, claim, breaker, reason, postponed=1)
            if cursor.rowcount == 1 and reason != claim.reason:
                await record_async(connection, _changed(claim.parcel, OutboxState.PENDING, reason))

    async def _took(
        self, connection: AsyncConnection[Any], claim: Claim, breaker: Breaker, reason: str, **counts: int
    ) -> None:
        none = {"delivered": 0, "failed": 0, "postponed": 0}
        await connection.execute(
            sql.TOOK,
            {
                **none,
                **counts,
                "platform": claim.parcel.platform,
                "failures": breaker.failures,
                "open_until": breaker.open_until,
                "reason": reason,
                "now": self._clock.now(),
            },
        )

    async def expire(self) -> int:
        """End what nobody wants any more, a batch at a time."""
        gone = 0
        for statement in (sql.EXPIRE, EXPIRE_HELD):
            while found := await self._expire_some(statement):
                gone += found
        return gone

    async def _expire_some(self, statement: str) -> int:
        async with self._transaction() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement, {"now": self._clock.now(), "limit": EXPIRE_AT_ONCE})
            rows = await cursor.fetchall()
            if not rows:
                return 0
            platforms = [row["platform"] for row in rows]
            await connection.execute(sql.COUNT_EXPIRED, {"platforms": platforms})
            streams = {"targets": [row["target"] for row in rows], "abouts": [row["about"] for row in rows]}
            await connection.execute(sql_folding.EXPIRED, {"platforms": platforms, **streams})
            await record_many_async(
                connection,
                [
                    DeliveryChanged(
                        item_id=str(row["id"]),
                        platform=row["platform"],
                        state=OutboxState.EXPIRED.value,
                        run_id=str(row["run_id"] or ""),
                        step=row["step_id"],
                        error=row["reason"],
                    )
                    for row in rows
                ],
            )
            return len(rows)

    async def untold(self, limit: int = 100) -> list[Verdict]:
        """Ends that the listener has not confirmed to have heard of."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(sql.UNTOLD, {"limit": limit})
            return [Verdict(**{**row, "state": OutboxState(row["state"])}) for row in await cursor.fetchall()]

    async def told(self, verdicts: Sequence[Verdict]) -> None:
        values = {"ids": [one.id for one in verdicts], "states": [one.state.value for one in verdicts]}
        async with self._transaction() as connection:
            await connection.execute(sql.TOLD, values)


def _claimed(row: dict[str, Any]) -> Claim:
    epoch, reason = row.pop("epoch"), row.pop("reason")
    return Claim(Parcel(**row), epoch, reason)


def _changed(parcel: Parcel, state: OutboxState, error: str) -> DeliveryChanged:
    return DeliveryChanged(
        item_id=str(parcel.id),
        platform=parcel.platform,
        state=state.value,
        run_id=str(parcel.run_id or ""),
        step=parcel.step_id,
        error=error if state is not OutboxState.DELIVERED else "",
    )
