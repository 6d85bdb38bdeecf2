"""Runs over HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.outbox.deliveries import deliveries_of
from appliance.runs import ended, services, taking_back
from appliance.runs.domain import RunState
from appliance.runs.evidence.services import export_run
from appliance.runs.models import Checkpoint, Run
from appliance.runs.origins import judged_as
from appliance.runs.shards.reading import Kind, progress_of, shards_of
from appliance.runs.shards.sources import MOST_SHARDS
from appliance.runs.under_way import steps_of
from appliance.sandbox.findings import amber, of_run
from appliance.tasks.models import TaskVersion
from appliance.tasks.services import find
from webadmin.api.auth import caller
from webadmin.api.run_schemas import (
    CheckpointOut,
    DeliveryOut,
    FindingOut,
    ResumeIn,
    RunDetailOut,
    RunOut,
    RunsOut,
    ShardOut,
    ShardsOut,
    SplitOut,
    StepOut,
)
from webadmin.api.schemas import Limit, RunStartedOut
from webadmin.pages.audit import attached

router = Router(tags=["runs"])

MOST_STEPS = 1000


@router.get("", response=RunsOut, summary="Runs, newest first")
def list_runs(
    request: HttpRequest,
    state: RunState | None = None,
    task: str | None = None,
    before: UUID | None = None,
    limit: Limit = 50,
) -> RunsOut:
    caller(request, Ability.VIEW)
    rows = Run.whole.order_by("-id")
    if state:
        rows = rows.filter(state=state.value)
    if task:
        rows = rows.filter(task_id=find(task).pk)
    if before:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: limit + 1])
    following = found[limit - 1].pk if len(found) > limit else None
    return RunsOut(items=[RunOut(**one) for one in _values(found[:limit])], next=following)


@router.get("/{run_id}", response=RunDetailOut, summary="One run")
def get_run(request: HttpRequest, run_id: UUID) -> RunDetailOut:
    caller(request, Ability.VIEW)
    run = services.get(run_id)
    return RunDetailOut(
        **_values([run])[0],
        judged_as=[*judged_as(run)],
        inputs=run.inputs,
        deliveries=[DeliveryOut.model_validate(one.to_json()) for one in deliveries_of(run.pk)],
        findings=[FindingOut.from_orm(found) for found in of_run(run.pk)],
        recoveries=run.recoveries,
        forked_from=run.forked_from,
        forked_at_step=run.forked_at_step,
        parent_run_id=run.parent_run_id,
        wake_at=run.wake_at,
        deadline=run.deadline,
    )


@router.get("/{run_id}/steps", response=list[StepOut], summary="The steps of a run, in order")
def get_steps(request: HttpRequest, run_id: UUID) -> Sequence[Any]:
    """A step that only reads has the state `running` until its end; one that acts has `intent`."""
    caller(request, Ability.VIEW)
    return steps_of(services.get(run_id), datetime.now(UTC), MOST_STEPS)


@router.get("/{run_id}/shards", response=ShardsOut, summary="The shards of a run's step, by number")
def get_shards(
    request: HttpRequest,
    run_id: UUID,
    step: str | None = None,
    state: Kind | None = None,
    after: Annotated[int, Field(ge=0, le=MOST_SHARDS)] = 0,
    limit: Limit = 50,
) -> ShardsOut:
    """Of ``step``, or of the one that was split last; ``after`` is the first number to give."""
    caller(request, Ability.VIEW)
    found = progress_of(services.get(run_id).pk)
    wanted = [one for one in found if step in (None, one.split.step)]
    rows, following = shards_of(wanted[-1], state, after, limit) if wanted else ([], None)
    splits = [SplitOut.model_validate(one.to_json()) for one in found]
    return ShardsOut(splits=splits, items=[_shard(row) for row in rows], next=following)


def _shard(row: Run) -> ShardOut:
    own = row.inputs.get("shard")
    return ShardOut(
        run_id=row.pk,
        shard=row.shard or 0,
        state=row.state,
        waiting_for=row.waiting_for,
        reason=row.reason,
        item=row.inputs.get("item"),
        branch=own.get("branch") if isinstance(own, dict) else None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


@router.post("/{run_id}/cancel", response={202: None}, summary="End a run")
def cancel(request: HttpRequest, run_id: UUID) -> None:
    services.cancel(run_id, caller(request, Ability.CANCEL_RUNS, somewhere=True).principal)


@router.post(
    "/{run_id}/again", response={202: RunStartedOut}, summary="Run the same version with the same inputs"
)
def again(request: HttpRequest, run_id: UUID) -> RunStartedOut:
    who = caller(request, Ability.RUN_TASKS, somewhere=True)
    return RunStartedOut(run_id=services.start_again(run_id, who.principal, datetime.now(UTC)))


@router.post(
    "/{run_id}/resume", response={202: RunStartedOut}, summary="Go on from a step or checkpoint, as a new run"
)
def resume(request: HttpRequest, run_id: UUID, body: ResumeIn) -> RunStartedOut:
    by = caller(request, Ability.RUN_TASKS, somewhere=True).principal
    return RunStartedOut(run_id=ended.resume(run_id, by, ended.Resume(**body.dict())))


@router.post("/{run_id}/undo", response={202: None}, summary="Take back what an ended run did")
def undo(request: HttpRequest, run_id: UUID) -> None:
    taking_back.undo(run_id, caller(request, Ability.RUN_TASKS, somewhere=True).principal)


@router.post(
    "/{run_id}/evidence",
    summary="The signed bundle of evidence of a run (application/zip)",
    openapi_extra={
        "responses": {200: {"description": "The bundle", "content": {"application/zip": {}}}},
    },
)
def run_evidence(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Everything known of the run, with the records of the audit that prove it. That it was taken is on record."""
    bundle = export_run(run_id, caller(request, Ability.VIEW_AUDIT).principal, datetime.now(UTC))
    return attached(bundle.name, bundle.content)


@router.get("/{run_id}/checkpoints", response=list[CheckpointOut], summary="Kept checkpoints, oldest first")
def get_checkpoints(request: HttpRequest, run_id: UUID) -> Sequence[Any]:
    caller(request, Ability.VIEW)
    services.get(run_id)
    return list(Checkpoint.objects.filter(run_id=run_id).defer("content").order_by("number"))


def _values(runs: list[Run]) -> list[dict[str, Any]]:
    """The fields of RunOut; names and version numbers of all runs in one query."""
    wanted = TaskVersion.objects.filter(pk__in={run.version_id for run in runs})
    known = {pk: (name, number) for pk, name, number in wanted.values_list("pk", "task__name", "number")}
    own = [name for name in RunOut.model_fields if name not in ("task", "version", "amber")]
    marked = amber([run.pk for run in runs])
    found = []
    for run in runs:
        name, number = known.get(run.version_id, ("", None))
        found.append(
            {
                **{key: getattr(run, key) for key in own},
                "task": name,
                "version": number,
                "amber": run.pk in marked,
            }
        )
    return found
