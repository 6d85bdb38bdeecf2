"""Brokers beside the box's own: how they are, their form, and a test that goes there and back."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.bus.brokers import services
from appliance.bus.brokers.by_hand import try_broker
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.errors import BrokerRefused, BrokerUnknown
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.processes.models import PartBeat
from appliance.processes.part_checks import PartState
from appliance.processes.signs import BROKER_PART
from appliance.safety.secrets import is_reference
from appliance.tasks import brokers as in_tasks
from webadmin.health import state_of_brokers
from webadmin.pages.access import needs, person

PLAIN = {"autocapitalize": "none", "spellcheck": "false"}


class BrokerForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=24,
        help_text=gettext_lazy("Tasks say it: broker: plant."),
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "plant"}),
    )
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=500,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "mqtts://mqtt.example:8883"}),
    )
    username = forms.CharField(
        label=gettext_lazy("User name"), required=False, max_length=300, widget=forms.TextInput(attrs=PLAIN)
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        required=False,
        max_length=300,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy(
            "Kept as a secret. Or name one: secret:NAME. Leave it empty to keep what is stored."
        ),
    )
    ca = forms.CharField(
        label=gettext_lazy("CA file"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "/etc/ssl/plant-ca.pem"}),
        help_text=gettext_lazy("A PEM file on this box, for a certificate of the plant's own."),
    )
    verify = forms.BooleanField(label=gettext_lazy("Check its certificate"), required=False, initial=True)
    filters = forms.CharField(
        label=gettext_lazy("Also listen to"),
        required=False,
        max_length=4000,
        help_text=gettext_lazy("Topics whose last values are kept, beside those that triggers name."),
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "line1/# line2/+/mode"}),
    )
    seen_under = forms.CharField(
        label=gettext_lazy("Prefix in this box"),
        required=False,
        max_length=300,
        help_text=gettext_lazy("Its topics are seen here under this; on the wire they stay as they are."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    client_id = forms.CharField(
        label=gettext_lazy("Client id"),
        required=False,
        max_length=100,
        help_text=gettext_lazy("Only where that broker asks for a certain one."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    enabled = forms.BooleanField(label=gettext_lazy("Switched on"), required=False, initial=True)


@dataclass(frozen=True, slots=True)
class BrokerView:
    """A row of the table: the broker, how it is, and what its connection says of itself."""

    spec: BrokerSpec
    state: PartState
    detail: dict[str, Any]


@needs(Ability.VIEW)
def brokers(request: HttpRequest) -> HttpResponse:
    return _page(request, BrokerForm())


@sensitive_post_parameters("password")
@require_POST
@needs(Ability.MANAGE_BROKERS)
def add(request: HttpRequest) -> HttpResponse:
    return _save(request, BrokerForm(request.POST), None)


@sensitive_post_parameters("password")
@needs(Ability.MANAGE_BROKERS)
def edit(request: HttpRequest, name: str) -> HttpResponse:
    spec = _find(name)
    if request.method == "POST":
        return _save(request, BrokerForm({**request.POST.dict(), "name": name}), spec)
    return _page(request, _filled(spec), spec)


@require_POST
@needs(Ability.MANAGE_BROKERS)
def test(request: HttpRequest, name: str) -> HttpResponse:
    try:
        seconds = try_broker(_find(name).name, person(request).principal)
    except MillwrightError as error:
        messages.error(request, f"{name}: {error}")
    else:
        said = _("%(name)s answers: there and back took %(milliseconds)d ms.")
        messages.success(request, said % {"name": name, "milliseconds": round(seconds * 1000)})
    return redirect("bus-brokers")


@require_POST
@needs(Ability.MANAGE_BROKERS)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    spec, wanted = _find(name), request.POST.get("enabled") == "yes"
    services.switch_broker(spec.name, wanted, person(request).principal, datetime.now(UTC))
    return redirect("bus-brokers")


@require_POST
@needs(Ability.MANAGE_BROKERS)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    try:
        in_tasks.remove(_find(name).name, person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(name)s is no longer connected.") % {"name": name})
    return redirect("bus-brokers")


def _find(name: str) -> BrokerSpec:
    try:
        return services.find_broker(name)
    except BrokerUnknown as error:
        raise Http404(str(error)) from error


def _filled(spec: BrokerSpec) -> BrokerForm:
    initial = {**asdict(spec), "filters": " ".join(spec.filters), "password": "", "seen_under": spec.prefix}
    form = BrokerForm(initial=initial)
    form.fields["name"].disabled = True
    return form


def _save(request: HttpRequest, form: BrokerForm, known: BrokerSpec | None) -> HttpResponse:
    if known is not None:
        form.fields["name"].widget.attrs["readonly"] = True
    if not form.is_valid():
        return _page(request, form, known, status=422)
    said = dict(form.cleaned_data)
    typed, prefix = said.pop("password"), said.pop("seen_under")
    stored = known.password if known and said["username"] else ""
    said |= {
        "filters": tuple(said["filters"].split()),
        "password": typed if is_reference(typed) else stored,
        "prefix": prefix,
    }
    try:
        if known is None and services.known_prefixes().keys() & {said["name"]}:
            raise BrokerRefused(_("There is a broker of that name already."))
        services.save_broker(
            BrokerSpec(**said),
            person(request).principal,
            datetime.now(UTC),
            password="" if is_reference(typed) else typed,
        )
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _page(request, form, known, status=422)
    messages.success(request, _("Saved. The box connects now; the test shows how far it gets."))
    return redirect("bus-brokers")


def _page(
    request: HttpRequest, form: BrokerForm, editing: BrokerSpec | None = None, status: int = 200
) -> HttpResponse:
    states = state_of_brokers()
    details = dict(PartBeat.objects.filter(part__startswith=BROKER_PART).values_list("part", "detail"))
    views = [
        BrokerView(spec, states.get(part, PartState(False)), details.get(part, {}))
        for spec in services.list_brokers()
        for part in (f"{BROKER_PART}{spec.name}",)
    ]
    context = {
        "cursor": current_cursor(),
        "brokers": views,
        "form": form,
        "editing": editing,
        "may_manage": person(request).can(Ability.MANAGE_BROKERS),
    }
    return render(request, "brokers.html", context, status=status)
