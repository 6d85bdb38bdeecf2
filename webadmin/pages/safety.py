"""What holds this box back: the all-stop and its drill, lock-outs, maintenance windows, and budgets."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import person_of
from appliance.lib.errors import MillwrightError
from appliance.processes.drill import last_drill
from appliance.safety.budgets.model import Then
from appliance.safety.budgets.shown import BudgetUse, uses
from appliance.safety.plant_state import services
from appliance.safety.plant_state.domain import Scope
from appliance.safety.plant_state.services import Hours
from appliance.safety.policy.vocabulary import Day
from webadmin.pages.access import needs, person
from webadmin.words import WORDS

SCOPES = [
    (Scope.DEVICE.value, gettext_lazy("a device")),
    (Scope.TOPIC.value, gettext_lazy("topics")),
    (Scope.TASK.value, gettext_lazy("a task")),
    (Scope.BOX.value, gettext_lazy("the whole box")),
]
THEN = {
    Then.DENY: gettext_lazy("are refused"),
    Then.HOLD: gettext_lazy("wait until it is over"),
}
_PLAIN = {"autocapitalize": "none"}


class Scoped(forms.Form):
    """What is taken out of use, and what becomes of what would act on it."""

    scope = forms.ChoiceField(label=gettext_lazy("What"), choices=SCOPES)
    pattern = forms.CharField(
        label=gettext_lazy("Name or topic filter"),
        required=False,
        max_length=300,
        help_text=gettext_lazy("Such as pump-7, line3/# or night-*. Nothing for the whole box."),
        widget=forms.TextInput(attrs={**_PLAIN, "placeholder": "pump-7"}),
    )
    then = forms.ChoiceField(
        label=gettext_lazy("Effects on it"), choices=[(one.value, text) for one, text in THEN.items()]
    )


class LockOutForm(Scoped):
    reason = forms.CharField(label=gettext_lazy("Why"), max_length=500)


class WindowForm(Scoped):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        widget=forms.TextInput(attrs={**_PLAIN, "placeholder": "line3-nights"}),
    )
    days = forms.MultipleChoiceField(
        label=gettext_lazy("Every week on"),
        required=False,
        choices=[(one.value, WORDS[one.value].text) for one in Day],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("No day: once, from the beginning to the end below."),
    )
    begin = forms.CharField(
        label=gettext_lazy("From"), max_length=16, widget=forms.TextInput(attrs={"placeholder": "22:00"})
    )
    end = forms.CharField(
        label=gettext_lazy("To"),
        max_length=16,
        help_text=gettext_lazy("A time of day, or for once a date and time: 2026-12-24 18:00."),
        widget=forms.TextInput(attrs={"placeholder": "06:00"}),
    )
    zone = forms.CharField(label=gettext_lazy("Time zone"), initial="UTC", max_length=60)
    reason = forms.CharField(label=gettext_lazy("Why"), required=False, max_length=500)
    field_order = ("name", "scope", "pattern", "days", "begin", "end", "zone", "then", "reason")


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock-out, and whether who looks may give it back."""

    row: Any
    mine: bool


@needs(Ability.VIEW)
def safety(
    request: HttpRequest, lock: LockOutForm | None = None, window: WindowForm | None = None, status: int = 200
) -> HttpResponse:
    now, who = datetime.now(UTC), person(request)
    mine = who.role == Role.ADMIN.value
    context = {
        "drill": last_drill(),
        "locked": [Locked(row, mine or person_of(row.by) == who.username) for row in services.lockouts()],
        "windows": [(one, one.is_on(now)) for one in services.windows()],
        "budgets": _uses(),
        "lock": lock or LockOutForm(prefix="lock", initial={"then": Then.DENY.value}),
        "window": window or WindowForm(prefix="window", initial={"then": Then.HOLD.value}),
        "then": THEN,
    }
    return render(request, "safety/page.html", context, status=status)


def _uses() -> list[BudgetUse] | None:
    """None: the policy cannot be read, which the page says."""
    try:
        return uses(datetime.now(UTC))
    except MillwrightError:
        return None


@require_POST
@needs(Ability.STOP_ALL)
def lock_out(request: HttpRequest) -> HttpResponse:
    form = LockOutForm(request.POST, prefix="lock")
    if form.is_valid():
        given = form.cleaned_data
        try:
            services.lock_out(
                Scope(given["scope"]),
                given["pattern"],
                given["reason"],
                person(request).principal,
                datetime.now(UTC),
                Then(given["then"]),
            )
        except MillwrightError as error:
            form.add_error(None, _said(error))
        else:
            messages.success(request, _("Locked out. Only you or an administrator gives it back."))
            return redirect("safety")
    return safety(request, lock=form, status=422)


@require_POST
@needs(Ability.STOP_ALL)
def give_back(request: HttpRequest, number: int) -> HttpResponse:
    reason = request.POST.get("reason", "")
    try:
        services.give_back(number, reason, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, _said(error))
    return redirect("safety")


@require_POST
@needs(Ability.EDIT_TASKS)
def plan(request: HttpRequest) -> HttpResponse:
    form = WindowForm(request.POST, prefix="window")
    if form.is_valid():
        given = form.cleaned_data
        try:
            services.plan(
                given["name"],
                Scope(given["scope"]),
                given["pattern"],
                _hours(given),
                person(request).principal,
                datetime.now(UTC),
                reason=given["reason"],
                then=Then(given["then"]),
            )
        except MillwrightError as error:
            form.add_error(None, _said(error))
        else:
            return redirect("safety")
    return safety(request, window=form, status=422)


@require_POST
@needs(Ability.EDIT_TASKS)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    try:
        services.remove(name, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, _said(error))
    return redirect("safety")


def _hours(given: dict[str, Any]) -> Hours:
    """Raises Refused."""
    if given["days"]:
        return Hours.of_week(given["days"], given["begin"], given["end"], given["zone"])
    return Hours.once(given["begin"], given["end"], given["zone"])


def _said(error: MillwrightError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
