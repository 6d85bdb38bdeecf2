"""What a person who goes on from a split step takes over of its shards, and what those would do a second time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from appliance.actions.contract import EffectClass
from appliance.runs.effects import effects_inside
from appliance.runs.fork import Fork, ForkRefused, KeptShards, fork_at, is_undone
from appliance.runs.growing import growing
from appliance.runs.plan import StepRow, took_effect
from appliance.runs.shards import taken_sql as sql
from appliance.runs.shards.split import split_id
from appliance.tasks.definition import StepSpec, TaskDefinition
from appliance.tasks.definition.bodies import bodies_of

_HARMLESS = frozenset({EffectClass.PURE, EffectClass.IDEMPOTENT})


class StillEnding(ForkRefused):
    """Some shards of the run that has ended have not yet."""

    code = "runs.still_ending"


class _Kept(NamedTuple):
    """A row of ``KEPT``: a split, whether it is open, whether its shards are gone, whether any was begun."""

    id: UUID
    run_id: UUID
    step: str
    total: int
    succeeded: int
    open: bool
    gone: bool
    begun: bool


def fork_of(run_id: UUID, definition: TaskDefinition, rows: Sequence[StepRow], step: str = "") -> Fork:
    """``fork_at``, with the shards that are taken over. Raises ForkRefused and StillEnding."""
    fork = fork_at(definition, rows, step)
    names = [spec.id for spec in definition.actions]
    later = {spec.id: spec for spec in definition.actions[names.index(fork.step) :]}
    split = {name: spec for name, spec in later.items() if bodies_of(spec) or growing(spec.type)}
    if not split:
        return fork
    known = {name for (name,) in _answers(sql.PROMISED, {"run_id": run_id})}
    kept = _kept(run_id, split[fork.step], rows) if fork.step in split else None
    repeats = list(fork.repeats)
    # Shards that were to be taken over, and are not now, took effect in an earlier run.
    repeats += [
        name for name in split if name in known - {*repeats} and not effects_inside(split[name]) <= _HARMLESS
    ]
    if kept is None:
        return replace(fork, repeats=tuple(repeats))
    again = _again(kept)
    repeats = [*again, *(name for name in repeats if name != fork.step)]
    return replace(fork, repeats=tuple(repeats), shards=KeptShards(kept.id, kept.succeeded, kept.total))


def _kept(run_id: UUID, spec: StepSpec, rows: Sequence[StepRow]) -> _Kept | None:
    """The split to take over; None where the step succeeded or was taken back: then it is wanted a second time."""
    latest = {row.step: row for row in rows}
    last = latest.get(spec.id)
    if (last is not None and took_effect(last)) or is_undone(spec, latest):
        return None
    found = _answers(sql.KEPT, {"run_id": run_id, "step": spec.id})
    kept = _Kept(*found[0]) if found else None
    if kept is None or not (kept.begun or kept.gone):
        return None
    if kept.gone:
        raise ForkRefused(
            f"the shards of step {spec.id}, which this run was to take over, are gone",
            hint="look at what they did, then start the task anew",
        )
    return kept


def _again(kept: _Kept) -> list[str]:
    """The steps of shards that took effect, or may have, and would be done again. Raises StillEnding."""
    ((still, steps),) = _answers(sql.UNDONE_INSIDE, {"id": kept.id})
    if still:
        raise StillEnding(f"shards of step {kept.step} are still being ended", hint="try again in a moment")
    return list(steps)


def promise(new_id: UUID, fork: Fork) -> None:
    """Write down, in the transaction of the new run, that it takes these shards over."""
    if fork.shards is not None:
        values = {"id": split_id(new_id, fork.step, 1), "run_id": new_id, "of": fork.shards.split}
        with connection.cursor() as cursor:
            cursor.execute(sql.PROMISE, values)


def _answers(query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
