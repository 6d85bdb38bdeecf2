"""Tasks over HTTP."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.bridges.services import platform_names
from appliance.runs.reflex.choice import lane_of
from appliance.runs.services import start_task
from appliance.tasks import services
from appliance.tasks.loader import Problem, TaskFileError, load_text
from appliance.tasks.models import Task
from webadmin.api.auth import caller
from webadmin.api.schemas import Limit, ProblemOut, ProblemsOut, RunStartedOut, TextIn
from webadmin.api.task_schemas import AppliedOut, RunIn, SwitchIn, TaskOut, TasksOut, TaskTextOut, TriggerOut

router = Router(tags=["tasks"])


@router.get("", response=TasksOut, summary="Tasks by name")
def list_tasks(request: HttpRequest, after: str = "", limit: Limit = 50) -> TasksOut:
    caller(request, Ability.VIEW)
    rows = Task.objects.filter(name__gt=after.replace("\x00", "")).order_by("name")
    found = list(rows.select_related("current").prefetch_related("triggers")[: limit + 1])
    following = found[limit - 1].name if len(found) > limit else None
    return TasksOut(items=[_out(task) for task in found[:limit]], next=following)


@router.post("/validate", response=ProblemsOut, summary="Check a task file; changes nothing")
def validate(request: HttpRequest, body: TextIn) -> ProblemsOut:
    caller(request, Ability.VIEW)
    try:
        loaded = load_text(body.text, "request", known_platforms=platform_names())
    except TaskFileError as error:
        return ProblemsOut(problems=_problems(error.problems))
    return ProblemsOut(problems=[], warnings=_problems([one for task in loaded for one in task.warnings]))


@router.post("/apply", response=list[AppliedOut], summary="Apply a file of one or more tasks")
def apply(request: HttpRequest, body: TextIn) -> list[AppliedOut]:
    who = caller(request, Ability.EDIT_TASKS, somewhere=True)
    applied = services.apply_text(body.text, "request", who.principal, datetime.now(UTC))
    return [_applied(one) for one in applied]


@router.get("/{name}", response=TaskTextOut, summary="One task with its text")
def get_task(request: HttpRequest, name: str) -> TaskTextOut:
    caller(request, Ability.VIEW)
    task = services.find(name)
    version = task.current
    lane = lane_of(services.definition_of(version)) if version else None
    return TaskTextOut(
        **_out(task).model_dump(),
        lane=lane.lane if lane else "",
        lane_reason=lane.reason.sentence if lane else "",
        text=version.text if version else "",
        definition=version.definition if version else {},
    )


@router.put("/{name}", response=AppliedOut, summary="A new version of one task")
def put_task(request: HttpRequest, name: str, body: TextIn) -> AppliedOut:
    who = caller(request, Ability.EDIT_TASKS, somewhere=True)
    now = datetime.now(UTC)
    applied = services.apply_text(body.text, f"{name}.yaml", who.principal, now, only=name)[0]
    return _applied(applied)


@router.patch("/{name}", response=TaskOut, summary="Switch a task on or off")
def switch_task(request: HttpRequest, name: str, body: SwitchIn) -> TaskOut:
    who = caller(request, Ability.EDIT_TASKS, somewhere=True)
    services.set_enabled(name, body.enabled, who.principal, datetime.now(UTC))
    return _out(services.find(name))


@router.post("/{name}/run", response={202: RunStartedOut}, summary="Start a task now")
def run_task(request: HttpRequest, name: str, body: RunIn | None = None) -> RunStartedOut:
    who = caller(request, Ability.RUN_TASKS, somewhere=True)
    inputs = body.inputs if body else {}
    return RunStartedOut(run_id=start_task(name, who.principal, datetime.now(UTC), inputs=inputs))


def _problems(found: Iterable[Problem]) -> list[ProblemOut]:
    return [ProblemOut.model_validate(one.to_json()) for one in found]


def _applied(one: services.Applied) -> AppliedOut:
    change, warnings = one.change.value, _problems(one.warnings)
    return AppliedOut(name=one.name, version=one.version, change=change, warnings=warnings)


def _out(task: Task) -> TaskOut:
    version = task.current
    return TaskOut(
        name=task.name,
        enabled=task.enabled,
        version=version.number if version else None,
        description=str(version.definition.get("description") or "") if version else "",
        triggers=[
            TriggerOut(
                id=one.trigger,
                kind=one.kind,
                next_due=one.next_due,
                last_fired_at=one.last_fired_at,
                fired=one.fired,
                refused=one.refused,
                failed=one.failed,
            )
            for one in task.triggers.all()
        ],
    )
