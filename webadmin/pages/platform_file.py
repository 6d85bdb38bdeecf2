"""A configuration file of platforms in the browser: see what it would change, take it over, fetch the present one."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from appliance.accounts.domain import Ability
from appliance.bridges import services
from appliance.bridges.errors import PlatformsInvalid, Problem
from appliance.bridges.exchange import Planned, export_platforms, plan_platforms
from appliance.bridges.platforms import LARGEST
from appliance.lib.errors import MillwrightError
from appliance.safety.errors import SecretUnreadable
from appliance.safety.secrets import seal, unseal
from webadmin.pages.access import needs, person
from webadmin.sentences import in_language


class FileForm(forms.Form):
    file = forms.FileField(label=gettext_lazy("File"), required=False)
    text = forms.CharField(
        label=gettext_lazy("Or its text"),
        required=False,
        max_length=LARGEST,
        widget=forms.Textarea(
            attrs={"rows": 14, "spellcheck": "false", "class": "code", "autocomplete": "off"}
        ),
    )

    def given(self) -> str:
        """The text of the file, or what was pasted. Of a form that is valid; raises PlatformsInvalid."""
        file = self.cleaned_data["file"]
        if file is None:
            return str(self.cleaned_data["text"])
        return services.text_of(file.read(LARGEST + 1), file.name)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text that was looked at, and the rows that it was compared with. It may have secrets in it, so a page has it
    only sealed, for the person who gave it."""

    text: str
    revisions: dict[str, int]

    def shut(self, request: HttpRequest) -> str:
        return seal(_purpose(request), json.dumps([self.text, self.revisions]))

    @classmethod
    def open(cls, request: HttpRequest) -> "Sealed":
        """Raises SecretUnreadable."""
        text, revisions = json.loads(unseal(_purpose(request), request.POST.get("sealed", "")))
        return cls(text, revisions)


@never_cache
@sensitive_post_parameters()
@needs(Ability.MANAGE_BRIDGES)
def exchange(request: HttpRequest) -> HttpResponse:
    """First what it would change, then, by a second press, the change."""
    form = FileForm(request.POST or None, request.FILES or None)
    if request.method != "POST":
        return _page(request, form)
    try:
        if "sealed" in request.POST:
            return _apply(request)
        text = form.given() if form.is_valid() else ""
        return _page(request, form, Sealed(text, {}))
    except PlatformsInvalid as error:
        return _page(request, form, problems=[_said(one) for one in error.problems])
    except MillwrightError as error:
        return _page(request, form, problems=[in_language(error.message)])


@needs(Ability.MANAGE_BRIDGES)
def download(request: HttpRequest) -> HttpResponse:
    """With references, never with values."""
    answer = HttpResponse(export_platforms(), content_type="application/json")
    answer["Content-Disposition"] = 'attachment; filename="platforms.json"'
    answer["Cache-Control"] = "no-store"
    return answer


def _apply(request: HttpRequest) -> HttpResponse:
    try:
        seen = Sealed.open(request)
    except SecretUnreadable:
        return _page(
            request, FileForm(), problems=[_("That look is not valid any more. Give the file again.")]
        )
    by, now = person(request).principal, datetime.now(UTC)
    if any(one.revision != seen.revisions.get(one.name) for one in plan_platforms(seen.text)):
        messages.warning(
            request, _("Somebody changed the platforms meanwhile. Look again at what would change.")
        )
        return _page(request, FileForm(), seen)
    loaded = services.load_platforms(seen.text, by, now)
    for one in loaded:
        for notice in one.notices:
            messages.warning(request, f"{one.name}: {in_language(notice)}")
    changed = sum(one.change != "unchanged" for one in loaded)
    messages.success(request, _("Taken over: %(changed)s changed.") % {"changed": changed})
    return redirect("platforms")


def _page(
    request: HttpRequest, form: FileForm, given: Sealed | None = None, problems: list[str] | None = None
) -> HttpResponse:
    plan: list[Planned] = plan_platforms(given.text) if given else []
    sealed = Sealed(given.text, {one.name: one.revision for one in plan}).shut(request) if given else ""
    context = {
        "form": FileForm() if plan else form,
        "plan": plan,
        "nothing": all(one.change == "unchanged" for one in plan),
        "sealed": sealed,
        "problems": problems or [],
        "largest": LARGEST,
    }
    return render(request, "platforms/file.html", context, status=422 if problems else 200)


def _said(problem: Problem) -> str:
    where = ""
    if problem.line:
        where = _("line %(line)s, column %(column)s: ") % {"line": problem.line, "column": problem.column}
    place = f"{problem.path}: " if problem.path else ""
    hint = f" ({in_language(problem.hint)})" if problem.hint else ""
    return f"{where}{place}{in_language(problem.message)}{hint}"


def _purpose(request: HttpRequest) -> str:
    return f"platforms file of {person(request).pk}"
