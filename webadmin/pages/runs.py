"""Runs: the list, and one page per run."""

from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.bridges.pictures import picture_of, pictures_of
from appliance.escalations.services import of_run as of_this_run
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.deliveries import DeliveryView, by_step, deliveries_of
from appliance.processes.kept_output import kept_texts, read_kept
from appliance.runs import origins, services
from appliance.runs.domain import FINAL, RunState, StepState, Waiting
from appliance.runs.models import Run, Step
from appliance.runs.shards.body import grows
from appliance.runs.shards.reading import Progress, progress_of
from appliance.runs.under_way import RUNNING, steps_of
from appliance.safety.approvals.services import open_ones
from appliance.safety.policy.vocabulary import Origin
from appliance.sandbox.findings import amber, of_run
from appliance.tasks.models import Task, TaskVersion
from webadmin.outcomes import outcomes
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.agents import AgentPart, agent_parts, told_of
from webadmin.pages.approvals import ApprovalView, views_of
from webadmin.pages.ended import context_of
from webadmin.pages.escalations import views_of as escalation_views
from webadmin.pages.files import sent
from webadmin.pages.paging import PAGE, cut, uuid_key
from webadmin.pages.returning import back_or
from webadmin.pages.shards import split_views
from webadmin.pages.timeline import bars

UNDER_WAY = (StepState.INTENT, RUNNING)


def name_tasks(runs: list[Run]) -> None:
    """Give each run the name of its task, whether it is amber, and what it came to, for the template: two queries for
    all, and a third where an agent may have done less than it wanted."""
    names = dict(Task.objects.filter(pk__in={run.task_id for run in runs}).values_list("pk", "name"))
    marked, came_to = amber([run.pk for run in runs]), outcomes(runs)
    for run in runs:
        run.task_name = names.get(run.task_id, "")  # type: ignore[attr-defined]  # for the template
        run.amber = run.pk in marked  # type: ignore[attr-defined]
        run.outcome = came_to.get(run.pk, "")  # type: ignore[attr-defined]


@needs(Ability.VIEW)
def run_list(request: HttpRequest) -> HttpResponse:
    """Newest first, by the key of the last one shown."""
    cursor = current_cursor()
    state, task = request.GET.get("state", ""), request.GET.get("task", "")
    names = dict(Task.objects.values_list("name", "id"))
    rows = Run.whole.order_by("-id")
    if state in set(RunState):
        rows = rows.filter(state=state)
    if task:
        rows = rows.filter(task_id=names.get(task, -1))
    before = uuid_key(request.GET.get("before", ""))
    if before:
        rows = rows.filter(pk__lt=before)
    runs, following = cut(list(rows[: PAGE + 1]))
    name_tasks(runs)
    context = {
        "cursor": cursor,
        "runs": runs,
        "next": following,
        "states": [one.value for one in RunState],
        "state": state,
        "task": task,
        "tasks": sorted(names),
    }
    return render(request, "runs/list.html", context)


@needs(Ability.VIEW)
def run_page(request: HttpRequest, run_id: UUID) -> HttpResponse:
    cursor = current_cursor()
    try:
        run = services.get(run_id)
    except services.RunNotFound as error:
        raise Http404(str(error)) from error
    now = datetime.now(UTC)
    by = person(request).principal
    progress = progress_of(run.pk)
    agents = agent_parts([run], by, [one.split for one in progress])
    # An agent's own run: what it did stands there already, and its rows hold transcripts.
    own_agent = grows(run)
    folded = own_agent and "steps" not in request.GET
    steps = [] if folded else _steps(run, now)
    version = TaskVersion.objects.filter(pk=run.version_id).select_related("task").first()
    name = version.task.name if version else services.task_name(run)
    messages = _with_messages(run, steps)
    drawn, scale = bars(steps, now)
    context = {
        "cursor": cursor,
        "run": run,
        "name": name,
        "version": version,
        "steps": steps,
        "bars": drawn if len(drawn) > 1 else [],
        "scale": scale,
        "ended": RunState(run.state) in FINAL,
        "findings": of_run(run_id),
        "why": _why(run),
        **_whence(run),
        "kept": _kept(run_id) if any(step.state in UNDER_WAY for step in steps) else {},
        "due": _due(run),
        "charts": pictures_of(run.pk) if any(step.kind == "notification" for step in steps) else [],
        "parcels": messages if run.waiting_for == Waiting.DELIVERY else [],
        "on_their_way": any(one.is_open for one in messages),
        "views": split_views(_without_agents(progress, agents), request.GET),
        "agents": agents,
        "agents_live": any(one.view.live for one in agents),
        "agents_work": any(not one.view.ended for one in agents),
        **told_of(run, agents),
        "folded": folded,
        "shard": run.inputs.get("shard") if run.split_id else None,
        "live": f"run/{run.pk} run/{run.parent_run_id}" if run.split_id else f"run/{run.pk}",
        "approvals": _approvals(run, by) if not own_agent else [],
        **_escalations(run, by),
        "may_act": by.can(Ability.CANCEL_RUNS, task=name),
        "may_run": by.can(Ability.RUN_TASKS, task=name),
        **(context_of(run, version, request.GET.get("from", "")) if not own_agent else {}),
    }
    return render(request, "runs/page.html", context)


def _steps(run: Run, now: datetime) -> list[Step]:
    steps = sorted(steps_of(run, now), key=lambda step: (step.started_at, step.position, step.attempt))
    for step in steps:
        if step.kind == "agent_turn" and step.detail:
            # Its own page has these, for who may read the conversation.
            step.detail = {key: value for key, value in step.detail.items() if key not in ("sent", "came")}
    return steps


def _without_agents(progress: list[Progress], agents: list[AgentPart]) -> list[Progress]:
    """The split steps whose shards are shown as shards."""
    shown = {(one.view.step, one.view.attempt) for one in agents}
    return [one for one in progress if (one.split.step, one.split.attempt) not in shown]


@needs(Ability.VIEW)
def chart(request: HttpRequest, run_id: UUID, identifier: UUID) -> HttpResponse:
    """A picture that went with a message of this run."""
    kept = picture_of(run_id, identifier)
    if kept is None:
        raise Http404("there is no such picture, or not any more")
    return sent(kept)


def _with_messages(run: Run, steps: list[Step]) -> list[DeliveryView]:
    """What became of the run's messages. The last attempt of each step gets its own, for the template."""
    if run.waiting_for != Waiting.DELIVERY and not any(step.kind == "notification" for step in steps):
        return []
    found = deliveries_of(run.pk)
    own = by_step(found)
    for step in reversed(steps):
        step.deliveries = own.pop(step.step, [])  # type: ignore[attr-defined]  # for the template
    return found


def _approvals(run: Run, by: Principal) -> list[ApprovalView]:
    if run.waiting_for != Waiting.APPROVAL:
        return []
    return views_of(open_ones(datetime.now(UTC), [run.pk]), by)


def _escalations(run: Run, by: Principal) -> dict[str, object]:
    """What of this run somebody has to acknowledge, or has."""
    found = of_this_run(run.pk)
    waits = [row for row in found if row.settled_at is None]
    return {
        "escalations": escalation_views(waits, by),
        "settled": [row for row in found if row.settled_at is not None],
    }


def _kept(run_id: UUID) -> dict[str, str]:
    """What steps that are under way have written so far; the socket goes on from there."""
    return kept_texts(read_kept(settings.CONFIG.redis_url, str(run_id)))


def _due(run: Run) -> datetime | None:
    event = run.inputs.get("event") if isinstance(run.inputs, dict) else None
    try:
        return datetime.fromisoformat(event["due_at"]) if isinstance(event, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def _why(run: Run) -> str:
    """The sentence of why this run exists; ``reason`` may say by now why it ended."""
    shard = run.inputs.get("shard") if run.split_id else None
    if isinstance(shard, dict):
        return _("It is one of the shards of the step %(step)s.") % {"step": shard.get("step", "?")}
    event = run.inputs.get("event") if isinstance(run.inputs, dict) else None
    if isinstance(event, dict) and event.get("due_at"):
        return _("Its time had come:")
    if run.forked_at_step:
        return _("%(who)s went on from step %(step)s of an earlier run.") % {
            "who": run.principal.removeprefix("user:"),
            "step": run.forked_at_step,
        }
    if run.forked_from:
        return _("%(who)s ran an earlier run again.") % {"who": run.principal.removeprefix("user:")}
    if run.origin == "mqtt" and "topic" in run.inputs:
        return _("A message came on %(topic)s.") % {"topic": run.inputs.get("topic", "?")}
    if run.origin == "webhook":
        return _("Its webhook was called.")
    if run.origin == "task" and isinstance(event, dict):
        return _("A run of %(task)s ended: %(state)s.") % {
            "task": event.get("task", "?"),
            "state": event.get("state", "?"),
        }
    if run.origin == "task":
        return _("Another task called it.")
    if run.origin == "event" and isinstance(event, dict):
        return _("The box saw the event %(type)s.") % {"type": event.get("type", "?")}
    return _("%(who)s started it.") % {"who": run.principal.removeprefix("user:")}


def _whence(run: Run) -> JsonObject:
    """What led to the run, whether another task called it, and all origins that it is judged by."""
    called = run.origin == Origin.TASK and "event" not in run.inputs
    before, judged = origins.before(run), origins.judged_as(run)
    return {"before": [*before], "called": called, "judged": [*judged]}


@require_POST
@needs_somewhere(Ability.CANCEL_RUNS)
def act(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Cancel, run again, or settle what is unclear."""
    by, now = person(request).principal, datetime.now(UTC)
    wanted = request.POST.get("do", "")
    try:
        if wanted == "cancel":
            services.cancel(run_id, by)
        elif wanted == "again":
            run_id = services.start_again(run_id, by, now)
        elif wanted in ("happened", "not-happened"):
            services.settle(run_id, wanted == "happened", by)
    except services.RunNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
    return back_or(request, run_id)
