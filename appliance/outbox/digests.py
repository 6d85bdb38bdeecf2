"""The sender's rows where several are told as one: claimed, ended and put off together, each under its own lease."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.events import DeliveryChanged
from appliance.events.services import record_many_async
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from appliance.outbox import holding, sql_folding
from appliance.outbox.domain import Breaker, OutboxState
from appliance.outbox.errors import DeliveryError, NotReady
from appliance.outbox.folding import URGENT_PAUSE, Fold, Folded, Former, Stream, Told, is_storm
from appliance.outbox.ledger import Claim, OutboxLedger
from appliance.outbox.ports import DigestRule, Hold, Receipt
from appliance.outbox.sql_holding import HOLD_FOLD

TAKE_AT_ONCE = 1000
MOST = 10_000
"""Items of one digest; what waits beyond that is for the next one."""
LOOK_BACK = 3600.0
KEPT_FOR = timedelta(days=1)

_FORMER = tuple(field.name for field in fields(Former))


class FoldingLedger(OutboxLedger):
    """As its base; where many about the same wait for one target, a claim takes them all."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        owner: str,
        lease: timedelta,
        rules: Callable[[str], DigestRule | None],
    ) -> None:
        super().__init__(pool, clock, owner, lease)
        self._rules = rules
        self._told = Told()

    async def claim(
        self, limit: int, per_platform: int, rooms: Mapping[str, int], held: Sequence[str]
    ) -> list[Claim]:
        claims = await super().claim(limit, per_platform, rooms, held)
        foldable = {
            claim.parcel.id: (claim, rule)
            for claim in claims
            if claim.parcel.about and (rule := self._rules(claim.parcel.platform))
        }
        if not foldable:
            return claims
        folds = await self._take(await self._look(foldable))
        return [folds.get(claim.parcel.id, claim) for claim in claims]

    async def _look(self, heads: Mapping[UUID, tuple[Claim, DigestRule]]) -> dict[UUID, tuple[Claim, Fold]]:
        """Those that lead a storm, each as a digest of itself alone."""
        now = self._clock.monotonic()
        self._told.forget(now - LOOK_BACK)
        streams = [Stream.of(claim.parcel) for claim, _ in heads.values()]
        values = {
            **_columns(streams),
            "ids": list(heads),
            "now": self._clock.now(),
            "limit": max(rule.after for _, rule in heads.values()) + 1,
        }
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(sql_folding.LOOK, values)
            rows = await cursor.fetchall()
        found = {}
        for row in rows:
            claim, rule = heads[row["id"]]
            stream, former = Stream.of(claim.parcel), _former(row)
            told = self._told.within(stream, rule.within, now)
            if row["lapsed"] or is_storm(rule, told, 1 + row["waiting"], former):
                found[row["id"]] = claim, Fold(stream, (_head(claim, row),), rule, former)
        return found

    async def _take(self, found: Mapping[UUID, tuple[Claim, Fold]]) -> dict[UUID, Claim]:
        """Claim the rest of these storms too. Gives the digests by the identifiers of their first claims."""
        if not found:
            return {}
        rows = {fold.stream: list(fold.rows) for _, fold in found.values()}
        open_streams = list(rows)
        async with self._transaction() as connection:
            while open_streams:
                taken = await self._take_some(connection, open_streams)
                for stream, more in taken.items():
                    rows[stream] += more
                open_streams = [
                    one for one, more in taken.items() if len(more) == TAKE_AT_ONCE and len(rows[one]) < MOST
                ]
            folds = {key: replace(fold, rows=tuple(rows[fold.stream])) for key, (_, fold) in found.items()}
            leads = [fold.lead.id for fold in folds.values()]
            cursor = await connection.execute(sql_folding.LEADS, {"ids": leads})
            words = {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}
        return {
            key: self._as_digest(found[key][0], fold, *words[fold.lead.id]) for key, fold in folds.items()
        }

    async def _take_some(
        self, connection: AsyncConnection[Any], streams: Sequence[Stream]
    ) -> dict[Stream, list[Folded]]:
        values = {
            **_columns(streams),
            "now": self._clock.now(),
            "lease": self._lease,
            "owner": self._owner,
            "limit": TAKE_AT_ONCE,
        }
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(sql_folding.TAKE, values)
        taken = defaultdict(list)
        for row in await cursor.fetchall():
            taken[Stream(row.pop("platform"), row.pop("target"), row.pop("about"))].append(Folded(**row))
        return taken

    def _as_digest(self, claim: Claim, fold: Fold, key: str, message: JsonObject) -> Claim:
        lead = fold.lead
        parcel = replace(
            claim.parcel,
            id=lead.id,
            key=key,
            message=message,
            attempt=max(row.attempts for row in fold.rows),
            parts_done=0,
            repeat_possible=any(row.may_repeat for row in fold.rows),
            run_id=lead.run_id,
            step_id=lead.step_id,
            priority=lead.priority,
            digest=fold.digest(self._clock.now()),
        )
        return Claim(parcel, lead.epoch, lead.reason, fold)

    async def hold(self, claim: Claim, given: Hold) -> int:
        """Of a storm all that was taken, too: it is told as one when its hold ends."""
        if claim.fold is None:
            return await super().hold(claim, given)
        reason = plain_text(given.reason)[:1000]
        values = {**_leases(claim.fold), "until": given.until, "reason": reason}
        async with self._transaction() as connection:
            alike = await holding.hold(connection, claim.parcel, claim.epoch, given, claim.reason)
            mine = await _written(connection, HOLD_FOLD, values)
            news = [row for row in claim.fold.rows if row.id in mine and row.reason != reason]
            await record_many_async(connection, _changes(claim, news, OutboxState.HELD, given.reason))
        return alike + len(mine)

    async def delivered(self, claim: Claim, receipt: Receipt, breaker: Breaker) -> bool:
        digest = claim.parcel.digest
        if digest and digest.count > 1:
            notes = [f"told in a digest of {digest.count}", receipt.note]
            detail: JsonObject = {**receipt.detail, "digest": digest.count}
            receipt = replace(receipt, note="; ".join(filter(None, notes)), detail=detail)
        done = await super().delivered(claim, receipt, breaker)
        if claim.parcel.about:
            count = len(claim.fold.rows) if claim.fold else 1
            self._told.add(Stream.of(claim.parcel), count, self._clock.monotonic())
        return done

    async def _finish(
        self, claim: Claim, state: OutboxState, reason: str, receipt: JsonObject | None, breaker: Breaker
    ) -> bool:
        if claim.fold is None:
            return await super()._finish(claim, state, reason, receipt, breaker)
        reason = plain_text(reason)[:1000]
        values = {
            **_leases(claim.fold),
            "state": state.value,
            "reason": reason,
            "receipt": Jsonb(receipt) if receipt is not None else None,
            "now": self._clock.now(),
        }
        async with self._transaction() as connection:
            mine = await _written(connection, sql_folding.FINISH_ALL, values)
            rows = [row for row in claim.fold.rows if row.id in mine]
            if not rows:
                return False
            said = "" if state is OutboxState.DELIVERED else reason
            await self._took(connection, claim, breaker, said, **{state.value: len(rows)})
            await record_many_async(connection, _changes(claim, rows, state, said))
            if receipt is not None:
                await self._keep(connection, claim, claim.fold, receipt)
        return len(rows) == len(claim.fold.rows)

    async def _keep(
        self, connection: AsyncConnection[Any], claim: Claim, fold: Fold, receipt: JsonObject
    ) -> None:
        """What the next digest of the stream has to know of this one."""
        digest, detail, now = claim.parcel.digest, receipt.get("detail"), self._clock.now()
        assert digest is not None
        edited = digest.replaces is not None and isinstance(detail, dict) and detail.get("edited") is True
        kept = fold.sent(digest, now, edited=edited)
        assert kept.rest_until is not None
        urgent = min(kept.rest_until, now + URGENT_PAUSE)
        values = {**asdict(fold.stream), **asdict(kept), "urgent_until": urgent}
        await connection.execute(sql_folding.DIGESTED, values)
        await connection.execute(sql_folding.FORGET, {"before": now - KEPT_FOR})

    async def postponed(self, claim: Claim, error: DeliveryError, pause: float, breaker: Breaker) -> None:
        if claim.fold is None:
            await super().postponed(claim, error, pause, breaker)
            return
        reason = plain_text(str(error))[:1000]
        values = {
            **_leases(claim.fold),
            "reason": reason,
            "next_at": self._clock.now() + timedelta(seconds=pause),
            "refund": 1 if isinstance(error, NotReady) else 0,
            "maybe_sent": error.maybe_sent or error.parts_done > 0,
        }
        async with self._transaction() as connection:
            mine = await _written(connection, sql_folding.POSTPONE_ALL, values)
            await self._took(connection, claim, breaker, reason, postponed=1)
            news = [row for row in claim.fold.rows if row.id in mine and row.reason != reason]
            await record_many_async(connection, _changes(claim, news, OutboxState.PENDING, reason))


async def _written(connection: AsyncConnection[Any], statement: str, values: Mapping[str, Any]) -> set[UUID]:
    """The rows that this sender still held (P4)."""
    return {row[0] for row in await (await connection.execute(statement, values)).fetchall()}


def _leases(fold: Fold) -> dict[str, Any]:
    return {"ids": [row.id for row in fold.rows], "epochs": [row.epoch for row in fold.rows]}


def _columns(streams: Sequence[Stream]) -> dict[str, list[str]]:
    return {
        "platforms": [one.platform for one in streams],
        "targets": [one.target for one in streams],
        "abouts": [one.about for one in streams],
    }


def _former(row: Mapping[str, Any]) -> Former:
    return Former() if row["told"] is None else Former(**{name: row[name] for name in _FORMER})


def _head(claim: Claim, row: Mapping[str, Any]) -> Folded:
    parcel = claim.parcel
    return Folded(
        id=parcel.id,
        epoch=claim.epoch,
        run_id=parcel.run_id,
        step_id=parcel.step_id,
        reason=claim.reason,
        seq=row["seq"],
        priority=row["priority"],
        created_at=row["created_at"],
        attempts=parcel.attempt,
        may_repeat=parcel.repeat_possible or parcel.parts_done > 0,
    )


def _changes(claim: Claim, rows: Iterable[Folded], state: OutboxState, error: str) -> list[DeliveryChanged]:
    return [
        DeliveryChanged(
            item_id=str(row.id),
            platform=claim.parcel.platform,
            state=state.value,
            run_id=str(row.run_id or ""),
            step=row.step_id,
            error=error,
        )
        for row in rows
    ]
