"""Alerts, and the rules that make them: in force, versions, the editor that checks, and the way back."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.alerts import services
from appliance.alerts.errors import RulesNotFound, RulesRefused
from appliance.alerts.loading import SHIPPED, LoadedRules
from appliance.lib.errors import MillwrightError
from appliance.lib.located.problems import Problem
from webadmin.pages.access import needs, person
from webadmin.pages.editor import diff_lines
from webadmin.pages.paging import PAGE, cut, number_key


@needs(Ability.VIEW_AUDIT)
def alerts(request: HttpRequest) -> HttpResponse:
    """Newest first."""
    rule = request.GET.get("rule", "").replace("\x00", "")[:60]
    rows, following = cut(services.alerts(number_key(request.GET.get("before", "")), PAGE + 1, rule))
    return render(request, "audit/alerts.html", {"alerts": rows, "next": following, "rule": rule})


@needs(Ability.VIEW_AUDIT)
def rules(request: HttpRequest) -> HttpResponse:
    """What is in force, and every version, newest first."""
    rows = services.history(number_key(request.GET.get("before", "")), PAGE + 1)
    loaded, broken = None, ""
    try:
        loaded = services.rules_in_force()
    except MillwrightError as error:
        broken = str(error)
    standing = services.current()
    context = {
        "standing": standing,
        "loaded": loaded,
        "broken": broken,
        "versions": [
            (
                row,
                reverse("alert-rules-version", args=[row.number]),
                standing is not None and standing.pk == row.pk,
            )
            for row in rows[:PAGE]
        ],
        "next": rows[PAGE - 1].number if len(rows) > PAGE else None,
    }
    return render(request, "audit/rules.html", context)


@needs(Ability.MANAGE_POLICY)
def edit(request: HttpRequest) -> HttpResponse:
    """The editor: a text that is refused is given back with every problem, and changes nothing."""
    standing = services.current()
    began = request.POST.get("began", str(standing.number if standing else 0))
    text = request.POST.get("text", standing.text if standing else SHIPPED.read_text()).replace("\r\n", "\n")
    problems: list[Problem] = []
    if request.method == "POST":
        by, expected = person(request).principal, int(began) if began.isdecimal() else 0
        try:
            applied = services.apply(text, "alerts.yaml", by, datetime.now(UTC), expected=expected)
        except RulesRefused as error:
            problems = list(error.problems)
        except MillwrightError as error:
            problems = [Problem("", 1, 1, "", error.message, hint=error.hint or "")]
        else:
            return _in_force(request, applied.version.number)
    context = {"text": text, "problems": problems, "began": began}
    return render(request, "audit/edit.html", context, status=422 if problems else 200)


@require_POST
@needs(Ability.MANAGE_POLICY)
def validate(request: HttpRequest) -> HttpResponse:
    """As you type: the problems of a text, or what came of its cases."""
    problems: list[Problem] = []
    loaded: LoadedRules | None = None
    try:
        loaded = services.check(request.POST.get("text", "").replace("\r\n", "\n"), "editor")
    except RulesRefused as error:
        problems = list(error.problems)
    context = {"problems": problems, "checked": True, "loaded": loaded}
    return render(request, "audit/checked.html", context)


@needs(Ability.VIEW_AUDIT)
def version_page(request: HttpRequest, number: int) -> HttpResponse:
    """One version, line by line against the one before it."""
    try:
        version = services.version(number)
    except RulesNotFound as error:
        raise Http404(str(error)) from error
    before = services.version(number - 1).text if number > 1 else SHIPPED.read_text()
    standing = services.current()
    context = {
        "version": version,
        "older": True,
        "lines": list(diff_lines(before, version.text)),
        "standing": standing,
        "is_current": standing is not None and standing.pk == version.pk,
    }
    return render(request, "audit/version.html", context)


@require_POST
@needs(Ability.MANAGE_POLICY)
def rollback(request: HttpRequest, number: int) -> HttpResponse:
    """Put an earlier version in force again."""
    began = request.POST.get("began", "")
    expected = int(began) if began.isdecimal() else None
    try:
        made = services.rollback(number, person(request).principal, datetime.now(UTC), expected=expected)
    except RulesNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
        return redirect("alert-rules-version", number=number)
    return _in_force(request, made.version.number)


def _in_force(request: HttpRequest, number: int) -> HttpResponse:
    messages.success(request, _("Version %(number)d of the alert rules is in force.") % {"number": number})
    return redirect("alert-rules")
