"""Tasks: the list, one page per task, switching and starting."""

from datetime import UTC, datetime

from django.contrib import messages
from django.db.models import Min
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.agent.proposals import services as proposals
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.located.yaml_reader import read_yaml
from appliance.runs import services as runs
from appliance.runs.models import Rate, Run
from appliance.runs.reflex.choice import lane_of
from appliance.sandbox import findings
from appliance.tasks import services
from appliance.tasks.models import Hold, NotTriggered, Occurrence, Task
from appliance.tasks.questions import open_questions
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.paging import PAGE
from webadmin.words import LANES

HOLDS = 20
LONGEST_INPUTS = 64 * 1024


class InputsRefused(MillwrightError):
    code = "web.inputs_refused"


@needs(Ability.VIEW)
def task_list(request: HttpRequest) -> HttpResponse:
    """By name; each page begins after the last name of the one before."""
    cursor = current_cursor()
    rows = Task.objects.select_related("current").prefetch_related("triggers")
    rows = rows.annotate(next_due=Min("triggers__next_due")).order_by("name")
    tasks = list(rows.filter(name__gt=request.GET.get("after", "").replace("\x00", ""))[: PAGE + 1])
    context = {
        "cursor": cursor,
        "tasks": tasks[:PAGE],
        "next": tasks[PAGE - 1].name if len(tasks) > PAGE else None,
        "may_edit": person(request).can_somewhere(Ability.EDIT_TASKS),
        "proposed": proposals.listing(only_open=True).count(),
    }
    return render(request, "tasks/list.html", context)


@needs(Ability.VIEW)
def task_page(request: HttpRequest, name: str) -> HttpResponse:
    cursor, by = current_cursor(), person(request).principal
    task = task_or_404(name)
    last_runs = list(Run.whole.filter(task_id=task.pk).order_by("-id")[:10])
    for run in last_runs:
        run.task_name = task.name  # type: ignore[attr-defined]  # for the template
    context = {
        "cursor": cursor,
        "task": task,
        "text": task.current.text if task.current else "",
        "lane": LANES[lane_of(services.definition_of(task.current)).reason] if task.current else "",
        "versions": list(task.versions.defer("text", "definition")[:20]),
        "triggers": list(task.triggers.all()),
        "runs": last_runs,
        "occurrences": list(Occurrence.objects.filter(task_id=task.pk).order_by("-id")[:10]),
        "questions": open_questions(datetime.now(UTC), task.pk),
        "holds": list(Hold.objects.filter(task=task, fired=False).order_by("due_at")[:HOLDS]),
        "rate": Rate.objects.filter(pk=task.pk).first(),
        "not_triggered": list(NotTriggered.objects.filter(task=task)[:10]),
        "did": findings.last_of(task.pk) if task.held else None,
        "may_edit": by.can(Ability.EDIT_TASKS, task=name),
        "may_run": by.can(Ability.RUN_TASKS, task=name),
    }
    return render(request, "tasks/page.html", context)


@require_POST
@needs_somewhere(Ability.EDIT_TASKS)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    task_or_404(name)
    enabled = request.POST.get("enabled") == "yes"
    try:
        services.set_enabled(name, enabled, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    return redirect("tasks") if request.POST.get("back") == "list" else redirect("task", name=name)


@require_POST
@needs_somewhere(Ability.RUN_TASKS)
def start(request: HttpRequest, name: str) -> HttpResponse:
    task_or_404(name)
    try:
        inputs = read_inputs(request.POST.get("inputs", ""))
        run_id = runs.start_task(name, person(request).principal, datetime.now(UTC), inputs=inputs)
    except MillwrightError as error:
        messages.error(request, str(error))
        return redirect("task", name=name)
    return redirect("run", run_id=run_id)


def read_inputs(text: str) -> JsonObject:
    """What a person gave a run to start with: names and values. Raises InputsRefused."""
    if not text.strip():
        return {}
    if len(text) > LONGEST_INPUTS:
        raise InputsRefused(_("The inputs are longer than %(most)d characters.") % {"most": LONGEST_INPUTS})
    document = read_yaml(text)
    if document.faults:
        fault = document.faults[0]
        raise InputsRefused(
            _("The inputs cannot be read: line %(line)d: %(message)s")
            % {"line": fault.line + 1, "message": fault.message}
        )
    if not isinstance(document.value, dict):
        raise InputsRefused(_("The inputs are names with values, as in: payload: {value: 91}"))
    return document.value


def task_or_404(name: str) -> Task:
    try:
        return services.find(name)
    except services.TaskNotFound as error:
        raise Http404(str(error)) from error
