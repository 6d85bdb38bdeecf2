"""Devices: an MQTT account for each, shown once, and taken back."""

from datetime import UTC, datetime

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability, Role
from appliance.accounts.mqtt import GRANTABLE, grants
from appliance.devices import services
from appliance.lib.duration import parse_duration
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.paging import PAGE
from webadmin.words import WORDS

_SILENCE = "5m"


class DeviceForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=48,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "placeholder": "pump-7"}),
    )
    publish = forms.CharField(
        label=gettext_lazy("May also publish to"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("Topics beside devices/<name>/#, with spaces between; + and # are wildcards."),
        widget=forms.TextInput(attrs={"placeholder": "plant/line1/#", "autocapitalize": "none"}),
    )
    subscribe = forms.CharField(
        label=gettext_lazy("May also read"),
        required=False,
        max_length=2000,
        widget=forms.TextInput(attrs={"autocapitalize": "none"}),
    )
    commands = forms.ChoiceField(
        label=gettext_lazy("May give the box commands as"),
        required=False,
        choices=[
            ("", gettext_lazy("none")),
            *((role.value, WORDS[role.value].text) for role in GRANTABLE),
        ],
        help_text=gettext_lazy("Start, cancel and switch tasks by MQTT. Only an administrator grants it."),
    )
    silence = forms.CharField(
        label=gettext_lazy("Offline after a silence of"),
        initial=_SILENCE,
        required=False,
        max_length=20,
        help_text=gettext_lazy("Such as 30s, 5m or 1h. A device that stays connected may be silent longer."),
        widget=forms.TextInput(attrs={"autocapitalize": "none"}),
    )


@needs(Ability.VIEW)
def devices(request: HttpRequest) -> HttpResponse:
    return _page(request, DeviceForm())


@never_cache
@require_POST
@needs_somewhere(Ability.MANAGE_DEVICES)
def add(request: HttpRequest) -> HttpResponse:
    """The one answer that shows the password: it is part of this page only, never kept or redirected to."""
    form = DeviceForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    said = form.cleaned_data
    try:
        account = services.add_device(
            said["name"],
            person(request).principal,
            publish=said["publish"].split(),
            subscribe=said["subscribe"].split(),
            commands=Role(said["commands"]) if said["commands"] else None,
            silence=parse_duration(said["silence"] or _SILENCE),
            now=datetime.now(UTC),
        )
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _page(request, form, status=422)
    return _page(request, DeviceForm(), account=account)


@require_POST
@needs(Ability.MANAGE_BOX)
def commands(request: HttpRequest, name: str) -> HttpResponse:
    """Let a device give the box commands as a role, or no longer."""
    role = request.POST.get("role", "")
    try:
        found = Role(role) if role in set(GRANTABLE) else None
        services.grant_commands(name, found, person(request).principal, now=datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        said = _("%(name)s may give commands.") if found else _("%(name)s may give no commands.")
        messages.success(request, said % {"name": name})
    return redirect("devices")


@require_POST
@needs_somewhere(Ability.MANAGE_DEVICES)
def revoke(request: HttpRequest, name: str) -> HttpResponse:
    try:
        services.revoke_device(name, person(request).principal, now=datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(name)s has no account any more.") % {"name": name})
    return redirect("devices")


def _page(
    request: HttpRequest,
    form: DeviceForm,
    *,
    account: services.NewAccount | None = None,
    status: int = 200,
) -> HttpResponse:
    after = request.GET.get("after", "").replace("\x00", "")
    found = list(services.list_devices().filter(name__gt=after)[: PAGE + 1])
    host, port = settings.CONFIG.mqtt_listen
    granted, may_grant = grants(), person(request).can(Ability.MANAGE_BOX)
    if not may_grant:
        del form.fields["commands"]
    known, by = services.presences(device.name for device in found[:PAGE]), person(request).principal
    context = {
        "rows": [
            (
                one,
                known.get(one.name),
                granted.get(one.username),
                by.can(Ability.MANAGE_DEVICES, device=one.name),
            )
            for one in found[:PAGE]
        ],
        "roles": GRANTABLE,
        "may_grant": may_grant,
        "next": found[PAGE - 1].name if len(found) > PAGE else None,
        "form": form,
        "account": account,
        "broker_host": request.get_host().rpartition(":")[0] if host in ("0.0.0.0", "::") else host,  # noqa: S104
        "broker_port": port,
        "broker_tls": settings.CONFIG.mqtt_tls,
        "embedded": "nats" in settings.CONFIG.embedded,
        "may_manage": by.can_somewhere(Ability.MANAGE_DEVICES),
    }
    return render(request, "devices.html", context, status=status)
