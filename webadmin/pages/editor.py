"""Writing tasks: the editor with its checks, and what changed between two versions."""

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.lib.errors import MillwrightError
from appliance.tasks import services
from appliance.tasks.loader import Problem, TaskFileError
from appliance.tasks.models import TaskVersion
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.tasks import task_or_404
from webadmin.sentences import in_language

NEW = """- name: my_task
  trigger: manual
  actions:
    - type: notification
      platform: webchat
      message: "Hello from the box"
"""


@needs_somewhere(Ability.EDIT_TASKS)
def edit(request: HttpRequest, name: str | None = None) -> HttpResponse:
    """The editor: a text that cannot be read is given back with every problem, and changes nothing."""
    task = task_or_404(name) if name else None
    text = request.POST.get("text", task.current.text if task and task.current else NEW)
    text = text.replace("\r\n", "\n")
    problems: list[Problem] = []
    if request.method == "POST":
        try:
            applied = services.apply_text(
                text, f"{name or 'new'}.yaml", person(request).principal, datetime.now(UTC), only=name
            )
        except TaskFileError as error:
            problems = list(error.problems)
        except MillwrightError as error:
            problems = [Problem("", 1, 1, "", error.message, hint=error.hint or "")]
        else:
            what = ", ".join(f"{one.name} v{one.version}" for one in applied)
            messages.success(request, _("Saved: %(what)s") % {"what": what})
            for warning in (one for saved in applied for one in saved.warnings):
                messages.warning(request, _warned(warning))
            return redirect("task", name=applied[0].name)
    context = {"task": task, "text": text, "problems": problems}
    return render(request, "tasks/edit.html", context, status=422 if problems else 200)


@require_POST
@needs_somewhere(Ability.EDIT_TASKS)
def validate(request: HttpRequest) -> HttpResponse:
    """As you type: the problems and warnings of a text, as saving it would find them."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    try:
        text = request.POST.get("text", "").replace("\r\n", "\n")
        loaded = services.load_here(text, "editor", person(request).principal)
        warnings = [warning for task in loaded for warning in task.warnings]
    except TaskFileError as error:
        problems = list(error.problems)
    context = {"problems": problems, "warnings": warnings, "checked": True}
    return render(request, "tasks/problems.html", context)


def _warned(warning: Problem) -> str:
    place = _("line %(line)s, column %(column)s") % {"line": warning.line, "column": warning.column}
    hint = f" ({in_language(warning.hint)})" if warning.hint else ""
    return f"{place}: {in_language(warning.message)}{hint}"


@needs(Ability.VIEW)
def version_page(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """One version, line by line against the one before it."""
    task = task_or_404(name)
    found = {v.number: v for v in TaskVersion.objects.filter(task=task, number__in=[number, number - 1])}
    version, older = found.get(number), found.get(number - 1)
    if version is None:
        raise Http404(f"{name} has no version {number}")
    context = {
        "task": task,
        "version": version,
        "older": older,
        "lines": list(diff_lines(older.text if older else "", version.text)),
        "is_current": task.current_id == version.pk,
    }
    return render(request, "tasks/version.html", context)


def diff_lines(old: str, new: str) -> Iterator[tuple[str, str]]:
    """(added, removed or same; the line), in the order of the newer text."""
    signs = {"+": "added", "-": "removed", " ": "same"}
    for line in difflib.ndiff(old.splitlines(), new.splitlines()):
        if line[:1] in signs:
            yield signs[line[0]], line[2:]
