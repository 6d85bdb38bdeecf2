"""Reads what became of a stand's world."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.agent.domain import Asked, Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.calling import made
from appliance.agent.loop.rows import seen as rows_seen
from appliance.agent.loop.story import Result, Story, story_of
from appliance.agent.suite.furnishing import TASK
from appliance.agent.suite.seen import CallSeen, Seen, as_object
from appliance.agent.suite.web import Web
from appliance.agent.suite.world import World
from appliance.runs import own_rows
from appliance.runs.growing import ASKED

_SHARD = (
    "SELECT id, state, waiting_for, reason FROM runs_run WHERE split_id IS NOT NULL AND parent_run_id = %s"
)
_RUN = "SELECT state, waiting_for, reason FROM runs_run WHERE id = %s"
_STEP = "SELECT detail FROM runs_step WHERE run_id = %s AND step = 'think' ORDER BY attempt DESC LIMIT 1"
_CHILDREN = """
SELECT t.name, r.inputs FROM runs_run r JOIN tasks_task t ON t.id = r.task_id
WHERE r.split_id IS NULL AND r.trigger = %s ORDER BY r.id
"""
_TOLD = "SELECT message FROM outbox_item WHERE run_id IS NOT NULL AND id <> ALL(%s) ORDER BY seq"
_ASKED = "SELECT count(*) AS n FROM safety_approval"
_VALUES = "SELECT topic, value FROM bus_topicvalue"

Pool = AsyncConnectionPool[Any]


async def seen_of(
    pool: Pool, run_id: UUID, world: World, web: Web, told_before: Sequence[UUID], seconds: float
) -> Seen:
    """``told_before``: messages to people that are not the agent's."""
    run, shard = (await _rows(pool, _RUN, run_id))[0], (await _rows(pool, _SHARD, run_id))
    steps = await _rows(pool, _STEP, run_id)
    detail = as_object(steps[0]["detail"]) if steps else {}
    calls, story = await _story(pool, shard[0]["id"]) if shard else ((), None)
    waits = shard[0] if shard and run["waiting_for"] == "shards" else run
    return Seen(
        state=f"{waits['state']}:{waits['waiting_for']}" if waits["waiting_for"] else waits["state"],
        reason=waits["reason"],
        # The model's own words: what the box puts behind them is none of its merits.
        answer=story.past[-1].output.answer if story is not None and story.past else "",
        confirmed=detail.get("unconfirmed") is False and not detail.get("not_done"),
        published=tuple(world.published),
        tasks=tuple(
            (row["name"], as_object(as_object(row["inputs"]).get("vars")))
            for row in await _rows(pool, _CHILDREN, TASK)
        ),
        commands=tuple(world.commands),
        told=tuple(
            str(as_object(row["message"]).get("text", ""))
            for row in await _rows(pool, _TOLD, list(told_before))
        ),
        sent=tuple(one for one in web.asked if one[0] not in ("GET", "HEAD")),
        values={row["topic"]: row["value"] for row in await _rows(pool, _VALUES)},
        calls=calls,
        asked=(await _rows(pool, _ASKED))[0]["n"],
        turns=len(story.past) if story is not None else 0,
        tokens=story.tokens if story is not None else 0,
        malformed=sum(bool(turn.output.malformed) for turn in story.past) if story is not None else 0,
        seconds=seconds,
    )


async def _story(pool: Pool, shard: UUID) -> tuple[tuple[CallSeen, ...], Story]:
    async with pool.connection() as connection:
        own = await own_rows.read(connection, shard)
    asked = Asked.of(as_object(own.inputs.get(ASKED)))
    steps = list(rows_seen(own))
    story = story_of(asked, steps)
    order = [step.step for step in steps]
    calls = tuple(
        CallSeen(order.index(result.step), result.call.tool, _reads(asked, result), last.state, last.error)
        for result in story.results
        if result.step in order
        for last in [next(one for one in reversed(steps) if one.step == result.step)]
    )
    return calls, story


def _reads(asked: Asked, result: Result) -> bool:
    try:
        return made(asked, result.call).risk is Risk.READ
    except ToolUnknown:
        return False


async def _rows(pool: Pool, text: str, *values: Any) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(text.encode(), values)
        found: list[dict[str, Any]] = await cursor.fetchall()
        return found
