"""Grants and browsers of one person, for administrators: what more they may do on some tasks, where they are logged
in."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from appliance.accounts import granting, sessions
from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import GrantRefused, NoSuchUser
from appliance.accounts.grants import GRANTABLE, Grant
from appliance.accounts.services import get_user
from webadmin.pages.access import needs, person
from webadmin.pages.paging import number_key
from webadmin.words import word

PLACES = ("tasks", "topics", "devices", "secrets")
"""What a grant is about."""

PLAIN = {"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}


def _place(label: Any, placeholder: str, help_text: Any, most: int = 100) -> forms.CharField:
    """A field for one of ``PLACES``."""
    widget = forms.TextInput(attrs={**PLAIN, "placeholder": placeholder})
    return forms.CharField(label=label, max_length=most, required=False, widget=widget, help_text=help_text)


class GrantForm(forms.Form):
    role = forms.ChoiceField(
        label=gettext_lazy("As"), choices=[(role.value, word(role.value).text) for role in GRANTABLE]
    )
    tasks = _place(
        gettext_lazy("On tasks"), "line3-*", gettext_lazy("A name; * stands for any characters, ? for one.")
    )
    topics = _place(
        gettext_lazy("On topics"),
        "plant/line3/#",
        gettext_lazy("An MQTT topic filter: where they may publish by hand, as engineer."),
        200,
    )
    devices = _place(
        gettext_lazy("On devices"),
        "line3-*",
        gettext_lazy("Whose accounts they may make and take back, as engineer."),
    )
    secrets = _place(
        gettext_lazy("On secrets"),
        "line3-*",
        gettext_lazy("Which ones the tasks that they edit may name, as engineer."),
    )


@require_POST
@needs(Ability.MANAGE_USERS)
def add(request: HttpRequest, name: str) -> HttpResponse:
    form = GrantForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a role, and say on which tasks, topics, devices or secrets."))
        return redirect("people-one", name)
    said = form.cleaned_data
    wanted = Grant(Role(said["role"]), **{key: said[key].strip() for key in PLACES})
    try:
        if granting.grant(name, wanted, person(request).principal, datetime.now(UTC)):
            messages.success(request, _("Granted: %(what)s.") % {"what": wanted})
        else:
            messages.info(request, _("They had that already."))
    except NoSuchUser as error:
        raise Http404(str(error)) from error
    except GrantRefused as error:
        messages.error(request, str(error))
    return redirect("people-one", name)


@require_POST
@needs(Ability.MANAGE_USERS)
def withdraw(request: HttpRequest, name: str) -> HttpResponse:
    given = {key: request.POST.get(key, "")[:200] for key in PLACES}
    role = request.POST.get("role", "")
    if role not in set(Role):
        messages.error(request, _("There is no such role."))
        return redirect("people-one", name)
    unwanted = Grant(Role(role), **given)
    try:
        if granting.withdraw(name, unwanted, person(request).principal):
            messages.success(request, _("Withdrawn: %(what)s.") % {"what": unwanted})
        else:
            messages.error(request, _("There is no such grant any more."))
    except NoSuchUser as error:
        raise Http404(str(error)) from error
    return redirect("people-one", name)


@require_POST
@needs(Ability.MANAGE_USERS)
def log_out(request: HttpRequest, name: str) -> HttpResponse:
    """One browser of somebody, or all of them."""
    try:
        user = get_user(name.replace("\x00", ""))
    except NoSuchUser as error:
        raise Http404(str(error)) from error
    by, one = person(request).principal, number_key(request.POST.get("session", ""))
    ended = sessions.end_session(user, one, by) if one else sessions.end_sessions(user, by)
    if ended:
        messages.success(request, _("%(name)s is logged out there.") % {"name": name})
    else:
        messages.info(request, _("Nobody was logged in there any more."))
    return redirect("people-one", name)
