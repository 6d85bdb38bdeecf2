"""What a step gives while its shards are under way, and when they are done."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.actions.contract import SplitKind, Status, StepResult
from appliance.actions.registry import registry
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.actions.foreach import Collect, ForeachParams
from appliance.runs.domain import StepState, Waiting
from appliance.runs.growing import growing
from appliance.runs.plan import Next
from appliance.runs.shards import sql
from appliance.runs.shards.split import Split, shard_id
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.joining import Join, JoinPolicy

MOST_OUTPUTS = 1000
MOST_OUTPUT_BYTES = 64 * 1024
NOTHING = "there was nothing to do: no items"


def waiting(arguments: JsonObject, wake_at: datetime | None) -> StepResult:
    """The step waits for its shards; what it was given is kept for when it goes on."""
    return StepResult(
        Status.WAITING,
        wake_at=wake_at,
        waiting_for=Waiting.SHARDS.value,
        checkpoint={"input": arguments},
    )


def kept_input(following: Next) -> JsonObject | None:
    """What a split step was given when it began: its expressions are not computed again when it goes on."""
    split = isinstance(registry()[following.spec.type], SplitKind)
    kept = (following.resumed_from or {}).get("input") if split else None
    return kept if isinstance(kept, dict) else None


def impossible(join: Join, count: int) -> StepResult | None:
    """What is known before anything is done: nothing to do, or never enough."""
    if join.policy is JoinPolicy.AT_LEAST and count < join.number:
        said = f"{join.number} must succeed, and there are {count or 'no'} items"
        return StepResult.failed(said, retryable=False, total=count)
    if count == 0:
        return StepResult(Status.SUCCEEDED, [], {"total": 0, "note": NOTHING})
    return None


async def result_of(
    pool: AsyncConnectionPool[AsyncConnection[Any]], split: Split, spec: StepSpec
) -> StepResult:
    """The result of a closed split."""
    detail: JsonObject = {**split.counts, "join": str(split.outcome)}
    if split.taken_from is not None:
        detail["taken_over"] = split.taken
    missed = split.failed + split.cancelled
    first = f"; first {split.reason}" if split.reason else ""
    if growing(spec.type) is not None and split.outcome != "cancelled":
        return await _of_the_last_step(pool, split)
    if split.outcome != "succeeded":
        return StepResult.failed(_failure(split, missed) + first, retryable=False, **detail)
    output, note = await _collected(pool, split, spec) if split.total else ([], NOTHING)
    if note:
        detail["note"] = note
    tolerated = f"{split.failed} of {split.total} failed{first}" if split.failed else ""
    return StepResult(Status.SUCCEEDED, output, detail, stderr=tolerated)


async def _of_the_last_step(pool: AsyncConnectionPool[AsyncConnection[Any]], split: Split) -> StepResult:
    """What a step that grows comes to is what the last of its own steps came to."""
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.LAST_STEP, {"id": shard_id(split.id, 0)})
        row = await cursor.fetchone()
    state, output, detail, stderr, error = row or ("", None, None, "", split.reason)
    kept: JsonObject = detail if isinstance(detail, dict) else {}
    if split.outcome == "succeeded" and state == StepState.SUCCEEDED:
        return StepResult(Status.SUCCEEDED, output, kept, stderr=stderr)
    return StepResult.failed(error or split.reason or "it did not come to its end", retryable=False, **kept)


def _failure(split: Split, missed: int) -> str:
    if split.outcome == "cancelled":
        return "cancelled before its shards were done"
    if split.join_policy == JoinPolicy.AT_LEAST:
        return f"{split.succeeded} of {split.total} succeeded, at least {split.join_number} must"
    if split.join_policy == JoinPolicy.TOLERATE:
        return (
            f"{split.failed} of {split.total} failed, at most {split.join_number} may; the rest was cancelled"
        )
    return f"{missed} of {split.total} did not succeed"


async def _collected(
    pool: AsyncConnectionPool[AsyncConnection[Any]], split: Split, spec: StepSpec
) -> tuple[JsonValue, str]:
    """The outputs of the shards where they are few and small, else the counts and a note that says so."""
    total = split.total or 0
    counts: JsonObject = split.counts
    if isinstance(spec.params, ForeachParams) and spec.params.collect is Collect.COUNTS:
        return counts, ""
    if total > MOST_OUTPUTS:
        return counts, f"more than {MOST_OUTPUTS} outputs: the counts instead"
    ids = [shard_id(split.id, shard) for shard in range(total)]
    async with pool.connection() as connection:
        cursor = await connection.execute(sql.OUTPUT_BYTES, {"ids": ids})
        row = await cursor.fetchone()
        if row is None or row[0] > MOST_OUTPUT_BYTES:
            return counts, f"outputs of more than {MOST_OUTPUT_BYTES // 1024} KiB: the counts instead"
        cursor = await connection.execute(sql.OUTPUTS, {"ids": ids})
        outputs: list[JsonValue] = [output for _, output in await cursor.fetchall()]
    names = split.source.get("names")
    if isinstance(names, list):
        return {str(name): output for name, output in zip(names, outputs, strict=True)}, ""
    return outputs, ""
