"""The policy: what is in force, its versions, the editor that checks it, and the way back."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.lib.errors import MillwrightError
from appliance.lib.located.problems import Problem
from appliance.runs.policy_view import known_kinds
from appliance.safety.policy import services
from appliance.safety.policy.errors import PolicyNotFound, PolicyRefused, PolicyUnreadable
from appliance.safety.policy.loading import LoadedPolicy
from appliance.safety.policy.vocabulary import Layer
from webadmin.pages.access import needs, person
from webadmin.pages.editor import diff_lines
from webadmin.pages.paging import PAGE, number_key

NEW = """policy: 1
name: {layer}
layer: {layer}
default: {{agent: ask, otherwise: allow}}
rules:
  - id: no-destruction
    kinds: [shell, container]
    command: {{class: destroy}}
    decide: deny
    reason: commands that destroy are run by a person at the machine
cases:
  - name: a command that removes files
    action: {{kind: shell, command: {{class: destroy, programs: [rm]}}}}
    expect: deny
    rule: no-destruction
"""


@needs(Ability.MANAGE_POLICY)
def policy(request: HttpRequest, layer: str = Layer.BOX.value) -> HttpResponse:
    """What is in force in a layer, and every version of it, newest first."""
    which = layer_or_404(layer)
    rows = services.history(which, number_key(request.GET.get("before", "")), PAGE + 1)
    standing = {row.layer: row for row in services.in_force()}
    current = standing.get(which.value)
    context = {
        "layer": which.value,
        "layers": [(one.value, standing.get(one.value)) for one in Layer],
        "standing": current,
        "versions": [
            (
                row,
                reverse("policy-version", args=[which.value, row.number]),
                current is not None and current.version_id == row.pk,
            )
            for row in rows[:PAGE]
        ],
        "next": rows[PAGE - 1].number if len(rows) > PAGE else None,
        "unreadable": _unreadable(),
    }
    return render(request, "policy/page.html", context)


@needs(Ability.MANAGE_POLICY)
def edit(request: HttpRequest, layer: str) -> HttpResponse:
    """The editor: a text that is refused is given back with every problem, and changes nothing."""
    which = layer_or_404(layer)
    standing = services.current(which)
    began = request.POST.get("began", str(standing.number if standing else 0))
    text = request.POST.get("text", standing.text if standing else NEW.format(layer=which))
    text = text.replace("\r\n", "\n")
    problems: list[Problem] = []
    if request.method == "POST":
        by, now = person(request).principal, datetime.now(UTC)
        try:
            applied = services.apply(
                text,
                f"{which}.yaml",
                by,
                now,
                kinds=known_kinds(),
                expected=int(began) if began.isdecimal() else 0,
            )
        except PolicyRefused as error:
            problems = list(error.problems)
        except MillwrightError as error:
            problems = [Problem("", 1, 1, "", error.message, hint=error.hint or "")]
        else:
            said = _("Version %(number)d of the %(layer)s policy is in force.")
            version = applied.version
            messages.success(request, said % {"number": version.number, "layer": version.layer})
            return redirect("policy-layer", layer=applied.version.layer)
    context = {"layer": which.value, "text": text, "problems": problems, "began": began, "standing": standing}
    return render(request, "policy/edit.html", context, status=422 if problems else 200)


@require_POST
@needs(Ability.MANAGE_POLICY)
def validate(request: HttpRequest) -> HttpResponse:
    """As you type: the problems of a text, or what came of its cases."""
    problems: list[Problem] = []
    loaded: LoadedPolicy | None = None
    try:
        text = request.POST.get("text", "").replace("\r\n", "\n")
        loaded = services.check(text, "editor", known_kinds())
    except PolicyRefused as error:
        problems = list(error.problems)
    context = {"problems": problems, "checked": True, "loaded": loaded}
    return render(request, "policy/checked.html", context)


@needs(Ability.MANAGE_POLICY)
def version_page(request: HttpRequest, layer: str, number: int) -> HttpResponse:
    """One version, line by line against the one before it."""
    which = layer_or_404(layer)
    try:
        version = services.version(which, number)
    except PolicyNotFound as error:
        raise Http404(str(error)) from error
    older = services.version(which, number - 1) if number > 1 else None
    standing = services.current(which)
    context = {
        "layer": which.value,
        "version": version,
        "older": older,
        "lines": list(diff_lines(older.text if older else "", version.text)),
        "standing": standing,
        "is_current": standing is not None and standing.pk == version.pk,
    }
    return render(request, "policy/version.html", context)


@require_POST
@needs(Ability.MANAGE_POLICY)
def rollback(request: HttpRequest, layer: str, number: int) -> HttpResponse:
    """Put an earlier version in force again."""
    which = layer_or_404(layer)
    began = request.POST.get("began", "")
    try:
        services.rollback(
            which,
            number,
            person(request).principal,
            datetime.now(UTC),
            kinds=known_kinds(),
            expected=int(began) if began.isdecimal() else None,
        )
    except PolicyNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
        return redirect("policy-version", layer=layer, number=number)
    said = _("Version %(number)d of the %(layer)s policy is in force.")
    messages.success(request, said % {"number": number, "layer": layer})
    return redirect("policy-layer", layer=layer)


def layer_or_404(name: str) -> Layer:
    if name not in set(Layer):
        raise Http404(f"there is no layer {name}")
    return Layer(name)


def _unreadable() -> str:
    """Why everything that acts is held; empty where the policy can be read."""
    try:
        services.policy_in_force()
    except PolicyUnreadable as error:
        return str(error)
    return ""
