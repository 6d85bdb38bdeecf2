"""The rows that tell of an agent: its own run and the one around it, its steps, and what people were asked about them.

A constant number of queries, and no transcripts: a page of a hundred steps reads no more of each than it shows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from appliance.agent.domain import StepSeen, seconds_between
from appliance.agent.explaining import sql
from appliance.lib.jsontypes import JsonValue
from appliance.runs.models import Run, Split
from appliance.runs.shards.body import grows
from appliance.runs.shards.split import shard_id
from appliance.safety.approvals.models import Approval

SAID_AT_MOST = 2_000
"""Characters of what a call gave: the step itself has the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeenRow(StepSeen):
    """One attempt of a step. Of what a call gave, ``output`` is the beginning, as text; its work began when people had
    decided."""

    attempt: int
    effect: str
    phase: str
    due: bool
    finished_at: datetime | None
    shared_from: UUID | None = None
    """The agent's run that performed it, where this one goes on from that."""


@dataclass(frozen=True, slots=True)
class WaysBack:
    """What the engine would take back now of an agent that is over, as is the run around it."""

    steps: frozenset[str]
    safe_state: bool = False
    """The step around them keeps to a safe state: nothing of it is taken back."""
    goes_on: UUID | None = None
    """A run that goes on from this one, and has to end first."""


@dataclass(frozen=True, slots=True)
class AgentRows:
    """``own`` is the run of the agent, ``task_run`` the one around it. ``back`` is None before both are over."""

    own: Run
    task_run: Run
    step: str
    attempt: int
    steps: tuple[StepSeenRow, ...] = ()
    approvals: tuple[Approval, ...] = ()
    deciders: dict[UUID, list[str]] = field(default_factory=dict)
    back: WaysBack | None = None


def agents_of(runs: Sequence[Run], splits: Sequence[Split] | None = None) -> list[AgentRows]:
    """The agents of these runs in the order in which they began; of an agent's own run, that one.

    ``splits`` are those of all the runs, where they have been read already.
    """
    own = [run for run in runs if grows(run)]
    around = [run for run in runs if not grows(run)]
    found = [*map(_own, own), *_inside(around, _splits(around) if splits is None else splits)]
    if not found:
        return []
    ids = [one.own.pk for one in found]
    steps, approvals = _steps(ids), _approvals(ids)
    deciders = {row.pk: [one.person for one in row.decisions.all()] for row in approvals}
    return [
        replace(
            one,
            steps=tuple(steps.get(one.own.pk, ())),
            approvals=tuple(row for row in approvals if row.run_id == one.own.pk),
            deciders=deciders,
        )
        for one in found
    ]


def _own(run: Run) -> AgentRows:
    assert run.parent_run_id is not None
    assert run.split_id is not None
    around = Run.objects.get(pk=run.parent_run_id)
    split = Split.objects.get(pk=run.split_id)
    return AgentRows(run, around, split.step, split.attempt)


def _splits(runs: Sequence[Run]) -> list[Split]:
    return list(Split.objects.filter(run_id__in=[run.pk for run in runs]).order_by("created_at"))


def _inside(runs: Sequence[Run], splits: Sequence[Split]) -> list[AgentRows]:
    """A step that grows has one shard; its identifier is computed, so that no index is searched for a million."""
    if not runs or not splits:
        return []
    known = {run.pk: run for run in runs}
    shards = {row.split_id: row for row in Run.objects.filter(pk__in=[shard_id(one.pk, 0) for one in splits])}
    return [
        AgentRows(row, known[one.run_id], one.step, one.attempt)
        for one in splits
        if (row := shards.get(one.pk)) is not None and grows(row) and one.run_id in known
    ]


def _steps(ids: Sequence[UUID]) -> dict[UUID, list[StepSeenRow]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.STEPS, {"ids": list(ids), "most": SAID_AT_MOST})
        rows = cursor.fetchall()
    found: dict[UUID, list[StepSeenRow]] = {}
    for run_id, *values in rows:
        found.setdefault(run_id, []).append(_step(values))
    return found


def _step(values: Sequence[Any]) -> StepSeenRow:
    step, attempt, kind, effect, phase, state, output, detail, error, stderr, due, began, ended, shared = (
        values
    )
    kept = _json(detail)
    return StepSeenRow(
        step, state, _json(output), kept if isinstance(kept, dict) else {}, error, stderr,
        seconds_between(began, ended), kind, attempt=attempt, effect=effect, phase=phase, due=due,
        finished_at=ended, shared_from=shared,
    )  # fmt: skip


def _json(value: Any) -> JsonValue:
    """On Django's connection JSON comes as text."""
    found: JsonValue = json.loads(value) if isinstance(value, str) else value
    return found


def _approvals(ids: Sequence[UUID]) -> list[Approval]:
    return list(Approval.objects.filter(run_id__in=ids).prefetch_related("decisions").order_by("id"))


def transcript(run_id: UUID, step: str) -> tuple[str, str]:
    """What was sent and what came back in the last attempt at a turn; empty where nothing is kept."""
    with connection.cursor() as cursor:
        cursor.execute(sql.TRANSCRIPT, {"run_id": run_id, "step": step})
        row = cursor.fetchone()
    return (row[0] or "", row[1] or "") if row else ("", "")
