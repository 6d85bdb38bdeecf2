"""Performs ``foreach`` and ``parallel``: expands the step into shards, lets the run wait, and joins what they gave.

Expanding can stop anywhere and go on: each shard's identifier is computed, and the split's row says how far
it came. No shard has its turn before all are there.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from appliance.actions.contract import EffectClass, Services, StepResult
from appliance.actions.sql import effect_of_query
from appliance.lib.clock import Clock
from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain, plain_object
from appliance.runs.actions.foreach import ForeachParams
from appliance.runs.actions.parallel import ParallelParams
from appliance.runs.domain import StepState
from appliance.runs.growing import growing
from appliance.runs.ledger import Ledger
from appliance.runs.passage import Passage
from appliance.runs.plan import Next, Phase
from appliance.runs.recorder import Recorder
from appliance.runs.renderer import Renderer
from appliance.runs.shards import counting, sql, taken_sql
from appliance.runs.shards.body import context_of, grown_context
from appliance.runs.shards.held import fence, fetch
from appliance.runs.shards.inheriting import Heir, is_taken
from appliance.runs.shards.joining import impossible, result_of, waiting
from appliance.runs.shards.lines import Permit, line_batches, line_source
from appliance.runs.shards.rows import row_batches, row_source
from appliance.runs.shards.sources import (
    BATCH,
    Batch,
    NoShards,
    as_row,
    batches,
    branch_source,
    check_bytes,
    list_source,
    range_source,
)
from appliance.runs.shards.split import Split, shard_id, split_id
from appliance.runs.walk import Walk
from appliance.tasks.definition.joining import ALL, Join, JoinPolicy


class Splitter:
    """Stateless: everything is in the split's row and in those of its shards."""

    def __init__(
        self,
        ledger: Ledger,
        recorder: Recorder,
        passage: Passage,
        renderer: Renderer,
        services: Services,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._recorder = recorder
        self._passage = passage
        self._renderer = renderer
        self._services = services
        self._clock = clock
        self._heir = Heir(ledger)

    async def perform(self, walk: Walk, following: Next, arguments: JsonObject) -> StepResult:
        """Begin or go on. WAITING as long as shards are to be done. Raises LeaseLost, TargetAway."""
        identifier = split_id(walk.row.id, following.spec.id, following.attempt)
        split = await self._get(identifier)
        try:
            if split is not None and is_taken(split) and not following.begun:
                split = await self._begin_taken(walk, following, split, arguments)
            if split is None:
                opened = await self._open(walk, following, identifier, arguments)
                if isinstance(opened, StepResult):
                    return opened
                split = opened
            if split.total is None and not split.outcome:
                split = await self._expand(walk, following, split)
        except NoShards as error:
            return StepResult.failed(str(error), retryable=False)
        if split.closed_at is not None:
            return await result_of(self._ledger.pool, split, following.spec)
        if split.due_at is not None and self._clock.now() >= split.due_at:
            return StepResult.failed("not finished within its own time", retryable=False, **split.counts)
        return waiting(arguments, self._wake_at(walk, following, split))

    def _wake_at(self, walk: Walk, following: Next, split: Split) -> datetime | None:
        """Only a time limit wakes a run whose shards are not done; the last of them does otherwise."""
        deadline = walk.row.deadline if following.phase is Phase.ACTIONS else None
        limits = [limit for limit in (deadline, split.due_at) if limit is not None]
        return min(limits) if limits else None

    async def _get(self, identifier: UUID) -> Split | None:
        async with self._ledger.pool.connection() as connection:
            return await fetch(connection, sql.GET, {"id": identifier})

    # --- begin ------------------------------------------------------------------------------------------

    async def _open(
        self, walk: Walk, following: Next, identifier: UUID, arguments: JsonObject
    ) -> Split | StepResult:
        spec = following.spec
        scope = await self._renderer.scope(walk, spec)
        source = await self._source(walk, following, arguments, scope)
        params = spec.params
        join = params.join if isinstance(params, ForeachParams | ParallelParams) else ALL
        count = int(str(source["count"]))
        early = None if source["kind"] == "rows" else impossible(join, count)
        if early is not None:
            return early
        context = plain_object(context_of(walk.definition, spec, walk.row.inputs, scope))
        if growing(spec.type) is not None:
            context = grown_context(arguments, context, walk.row.origin, walk.row.also)
        check_bytes(len(canonical_json(context)), source)
        await self._says_that_it_waits(walk, following, arguments)
        width = params.parallelism if isinstance(params, ForeachParams) else count
        values = {
            "id": identifier,
            "run_id": walk.row.id,
            "step": spec.id,
            "attempt": following.attempt,
            **_join(join),
            "parallelism": width,
            "context": Jsonb(context),
            "source": Jsonb(source),
            **self._limits(walk, following),
        }
        async with self._ledger.transaction() as connection:
            await fence(connection, walk)
            await connection.execute(sql.OPEN, values)
            split = await fetch(connection, sql.GET, {"id": identifier})
        assert split is not None, "it was inserted, or was there"
        return split

    async def _begin_taken(self, walk: Walk, following: Next, split: Split, arguments: JsonObject) -> Split:
        """Its time begins now; where the shards come from was decided when a person asked for it."""
        values = {"id": split.id, **self._limits(walk, following)}
        async with self._ledger.transaction() as connection:
            await fence(connection, walk)
            begun = await fetch(connection, taken_sql.BEGIN, values)
        assert begun is not None, "it was there"
        await self._says_that_it_waits(walk, following, arguments)
        return begun

    async def _says_that_it_waits(self, walk: Walk, following: Next, arguments: JsonObject) -> None:
        """Before anything else: who finds a split whose step does not wait closes it."""
        now, held = self._clock.now(), waiting(arguments, None)
        await self._recorder.record(
            walk, following, StepState.WAITING, now, EffectClass.PURE, arguments=arguments, result=held
        )

    def _limits(self, walk: Walk, following: Next) -> dict[str, datetime | None]:
        own = following.spec.timeout
        return {
            "shard_deadline": walk.row.deadline if following.phase is Phase.ACTIONS else None,
            "due_at": self._clock.now() + own if own else None,
        }

    async def _source(
        self, walk: Walk, following: Next, arguments: JsonObject, scope: dict[str, Any]
    ) -> JsonObject:
        params = following.spec.params
        if isinstance(params, ParallelParams):
            return branch_source(list(params.branches))
        if growing(following.spec.type) is not None:
            return branch_source([""])
        assert isinstance(params, ForeachParams)
        if isinstance(given := arguments.get("range"), dict):
            return range_source(given["start"], given["to"], given["step"])
        if isinstance(query := arguments.get("query"), dict):
            await self._passage.permit(
                walk, following.spec, "sql", effect_of_query(str(query["query"])), query
            )
            return row_source(query)
        if "lines" in arguments:
            return await line_source(arguments["lines"], self._services, self._reading(walk, following))
        return list_source(await self._items(params, scope))

    def _reading(self, walk: Walk, following: Next) -> Permit:
        return partial(self._passage.permit, walk, following.spec, "shell", EffectClass.PURE)

    async def _items(self, params: ForeachParams, scope: dict[str, Any]) -> JsonValue:
        items: JsonValue = plain(await self._renderer.render(params.items.render, scope))
        return items

    # --- expand -----------------------------------------------------------------------------------------

    async def _expand(self, walk: Walk, following: Next, split: Split) -> Split:
        """Insert what is missing, then give the first shards their turn. Raises NoShards and LeaseLost."""
        if is_taken(split):
            await self._heir.take_all(walk, split)
        else:
            await self._add_all(walk, following, split)
        async with self._ledger.transaction() as connection:
            await fence(connection, walk)
            await connection.execute(sql.COMPLETE, {"id": split.id})
            complete, queued = await counting.count(connection, split.shard_of)
        self._ledger.on_queued(queued)
        return complete

    async def _add_all(self, walk: Walk, following: Next, split: Split) -> None:
        done = split.expanded
        if split.source["kind"] == "rows" and done:
            await self._start_over(walk, split)
            done = 0
        async with aclosing(self._batches(walk, following, split)) as found:
            async for batch in found:
                if not await self._add(walk, split, batch, done):
                    break
                done += len(batch.items)

    async def _start_over(self, walk: Walk, split: Split) -> None:
        """What a query gives now is another snapshot: none of the first one's rows has had its turn.

        In pieces, by their identifiers: a million rows are more than one transaction may take.
        """
        for first in reversed(range(0, split.expanded, BATCH)):
            shards = [shard_id(split.id, number) for number in range(first, first + BATCH)]
            async with self._ledger.transaction() as connection:
                await fence(connection, walk)
                await connection.execute(sql.TAKE_BACK, {"id": split.id, "from": first, "shards": shards})

    async def _batches(self, walk: Walk, following: Next, split: Split) -> AsyncGenerator[Batch, None]:
        if split.source["kind"] == "rows":
            size = len(canonical_json(split.context))
            async with aclosing(row_batches(split.source, size, self._ledger.pool)) as found:
                async for batch in found:
                    yield batch
            return
        if split.source["kind"] == "lines":
            async for batch in line_batches(split.source, self._services, self._reading(walk, following)):
                yield batch
            return

        async def again() -> JsonValue:
            params = following.spec.params
            assert isinstance(params, ForeachParams)
            return await self._items(params, await self._renderer.scope(walk, following.spec))

        async for batch in batches(split.source, split.expanded, again):
            yield batch

    async def _add(self, walk: Walk, split: Split, batch: Batch, done: int) -> bool:
        """One transaction; gives whether the split is still wanted."""
        branch = split.source["kind"] == "branches"
        numbers = range(done, done + len(batch.items))
        rows = [
            as_row(item, number, split.step, branch)
            for number, item in zip(numbers, batch.items, strict=True)
        ]
        values = {
            "run_id": walk.row.id,
            "split_id": split.id,
            "context": Jsonb(split.context),
            "deadline": split.shard_deadline,
            "reason": f"shard of step {split.step}",
            "ids": [shard_id(split.id, number) for number in numbers],
            "shards": list(numbers),
            "items": [canonical_json(row).decode() for row in rows],
        }
        progress = {
            "id": split.id,
            "expanded": done + len(batch.items),
            "bytes": split.bytes,
            "source": Jsonb(batch.source),
        }
        async with self._ledger.transaction() as connection:
            await fence(connection, walk)
            cursor = await connection.execute(sql.EXPANDED, progress)
            if await cursor.fetchone() is None:
                return False
            await connection.execute(sql.ADD_SHARDS, values)
        return True


def _join(join: Join) -> dict[str, Any]:
    return {"join_policy": JoinPolicy(join.policy).value, "join_number": join.number}
