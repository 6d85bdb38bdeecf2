"""Shards that a run takes over from the one that it goes on from: copied piece by piece, and never done again.

A shard that succeeded is taken with the rows of its steps. Any other one goes on as a resumed run does: it shares its
finished steps, has the last checkpoint of the step that stopped, and a split inside of it takes over shards in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from appliance.actions.contract import EffectClass
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs import origins, resume_sql
from appliance.runs.domain import StepState
from appliance.runs.fork import ForkRefused, fork_at
from appliance.runs.growing import ASKED, growing
from appliance.runs.ledger import Ledger
from appliance.runs.plan import Phase, StepRow
from appliance.runs.shards import taken_sql as sql
from appliance.runs.shards.body import ALWAYS_KEPT, Body, led_by_agent
from appliance.runs.shards.held import fence
from appliance.runs.shards.sources import BATCH, NoShards
from appliance.runs.shards.split import Split, shard_id, split_id
from appliance.runs.walk import Walk
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.bodies import bodies_of, step_named

KIND = "shards"
"""Of a source whose items are the shards of another split."""
MOST_CHECKPOINTS = 64 * 1024 * 1024
"""Bytes of checkpoints that one transaction copies, unless a single shard has more."""

Connection = AsyncConnection[Any]


def is_taken(split: Split) -> bool:
    return split.source["kind"] == KIND


@dataclass(frozen=True, slots=True)
class Shard:
    """One that did not succeed: who it was, who it is now, and of which step and branch (as its row says that)."""

    split_id: UUID
    old: UUID
    new: UUID
    inputs: JsonObject


@dataclass(frozen=True, slots=True)
class _Shared:
    """A step that is not done again."""

    old: UUID
    new: UUID
    step: str
    attempt: int


class Heir:
    """Stateless: how far it came says the split's row."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def take_all(self, walk: Walk, split: Split) -> None:
        """Copy what is missing. Raises LeaseLost, and NoShards where the old run's rows are gone."""
        done, count = split.expanded, int(str(split.source["count"]))
        while done < count:
            numbers = range(done, min(done + BATCH, count))
            async with self._ledger.transaction() as connection:
                await fence(connection, walk)
                took = await self._piece(connection, walk, split, numbers)
            if not took:
                return
            done += took

    async def _piece(self, connection: Connection, walk: Walk, split: Split, numbers: range) -> int:
        """How many were taken; 0 where the split is not wanted any more."""
        former = UUID(str(split.source["of"]))
        numbers = await _affordable(connection, former, numbers)
        pairs = {number: (shard_id(former, number), shard_id(split.id, number)) for number in numbers}
        own = _own(walk, split)
        values = {
            "run_id": walk.row.id,
            "split_id": split.id,
            "old": [old for old, _ in pairs.values()],
            "new": [new for _, new in pairs.values()],
            "inputs": Jsonb(own),
            "deadline": split.shard_deadline,
            "reason": f"shard of step {split.step}",
        }
        if await (await connection.execute(sql.STILL_WANTED, {"id": split.id})).fetchone() is None:
            return 0
        rows = await (await connection.execute(sql.TAKE, values)).fetchall()
        if len(rows) < len(numbers):
            raise NoShards(
                f"the shards of run {split.taken_from}, which this run was to take over, are gone",
                hint="look at what they did, then start the task anew",
            )
        finished = [pairs[number] for number, succeeded, *_ in rows if succeeded]
        progress = {"id": split.id, "expanded": numbers.stop, "done": len(finished)}
        await connection.execute(sql.TAKEN, progress)
        others = [
            Shard(split.id, *pairs[number], _inputs(split, branch, asked))
            for number, succeeded, branch, asked in rows
            if not succeeded
        ]
        shared = await _whole(connection, finished)
        shared += await _prefixes(connection, walk.definition, others)
        await _share(connection, shared)
        return len(numbers)


def _own(walk: Walk, split: Split) -> JsonObject:
    """What the run has of its own for its shards."""
    inputs = walk.row.inputs
    own: JsonObject = {key: inputs[key] for key in ALWAYS_KEPT if key in inputs}
    if ASKED in split.context:
        own[origins.KEY] = led_by_agent(walk.row.origin, walk.row.also)
    return own


def _inputs(split: Split, branch: str, asked: JsonValue) -> JsonObject:
    """Of which step and branch it is one time, and what a step whose steps grow was asked."""
    named: JsonObject = {"shard": {"step": split.step, "branch": branch}}
    return named if asked is None else {**named, ASKED: asked}


async def _affordable(connection: Connection, former: UUID, numbers: range) -> range:
    """As many of them as one transaction can take the checkpoints of."""
    ids = {shard_id(former, number): number for number in numbers}
    size = 0
    found = await (await connection.execute(sql.CHECKPOINT_BYTES, {"ids": list(ids)})).fetchall()
    for number, more in sorted((ids[run_id], more) for run_id, more in found):
        size += int(more)
        if size > MOST_CHECKPOINTS:
            return range(numbers.start, max(number, numbers.start + 1))
    return numbers


async def _whole(connection: Connection, pairs: Sequence[tuple[UUID, UUID]]) -> list[_Shared]:
    """All that shards did that succeeded."""
    new = dict(pairs)
    rows = await (await connection.execute(sql.LAST_ATTEMPTS, {"ids": list(new)})).fetchall()
    return [_Shared(run_id, new[run_id], step, attempt) for run_id, step, attempt in rows]


async def _prefixes(
    connection: Connection, definition: TaskDefinition, shards: Sequence[Shard]
) -> list[_Shared]:
    """What the others had done; each is told where it goes on."""
    known = await _rows_of(connection, shards)
    shared: list[_Shared] = []
    stopped: list[tuple[Shard, str]] = []
    for shard in shards:
        rows = known.get(shard.old)
        if not rows:
            continue
        latest, body = {row.step: row for row in rows}, Body(definition, shard)
        own = body.now(latest)
        try:
            fork = fork_at(own, rows, body.resumes_at(latest))
            step, kept = fork.step, fork.shared
        except ForkRefused:  # ended between its last step and its end: nothing is left to be done
            step, kept = rows[-1].step, tuple(latest.values())
        shared += [_Shared(shard.old, shard.new, row.step, row.attempt) for row in kept]
        stopped.append((shard, step))
        inside = step_named(own.actions, step)
        if inside is not None and (bodies_of(inside) or growing(inside.type)):
            await promise(connection, shard.old, shard.new, step)
    if stopped:
        at = {
            "old": [shard.old for shard, _ in stopped],
            "new": [shard.new for shard, _ in stopped],
            "steps": [step for _, step in stopped],
        }
        await connection.execute(sql.GOES_ON, at)
        await connection.execute(sql.CHECKPOINTS, at)
    return shared


async def promise(connection: Connection, old: UUID, new: UUID, step: str) -> None:
    """Let the run ``new`` take over the shards of that step of ``old``, where any was begun. Raises NoShards."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.KEPT, {"run_id": old, "step": step})
    kept = await cursor.fetchone()
    if kept is None or (not kept["begun"] and not kept["gone"]):
        return
    if kept["gone"]:
        raise NoShards(f"shards of step {step}, which run {old} was to take over, are gone")
    values = {"id": split_id(new, step, 1), "run_id": new, "of": kept["id"]}
    await connection.execute(sql.PROMISE, values)


async def _rows_of(connection: Connection, shards: Sequence[Shard]) -> dict[UUID, list[StepRow]]:
    cursor = connection.cursor(row_factory=dict_row)
    grown = [shard.old for shard in shards if ASKED in shard.inputs]
    await cursor.execute(sql.ROWS, {"ids": [shard.old for shard in shards], "grown": grown})
    found: dict[UUID, list[StepRow]] = {}
    for row in await cursor.fetchall():
        found.setdefault(row["run_id"], []).append(
            StepRow(
                step=row["step"],
                attempt=row["attempt"],
                position=row["position"],
                phase=Phase(row["phase"]),
                effect=EffectClass(row["effect"]),
                state=StepState(row["state"]),
                output=row["output"],
                stderr="",
                error=row["error"],
                checkpoint=None,
                due_at=row["due_at"],
                shared_from=row["shared_from"],
            )
        )
    return found


async def _share(connection: Connection, shared: Sequence[_Shared]) -> None:
    if shared:
        values = {
            "old": [one.old for one in shared],
            "new": [one.new for one in shared],
            "steps": [one.step for one in shared],
            "attempts": [one.attempt for one in shared],
        }
        await connection.execute(resume_sql.SHARE_STEPS, values)
