"""People: who may log in, with which role; a lost password or second step mended."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from appliance.accounts import links, services, two_step
from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import NoSuchUser
from appliance.accounts.models import Language, User
from appliance.accounts.sessions import browsers_of
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person
from webadmin.pages.grants import GrantForm
from webadmin.pages.paging import PAGE
from webadmin.words import word

ROLES = [(role.value, word(role.value).text) for role in Role]


class PersonForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "off", "placeholder": "ana"}),
    )
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=ROLES)


@needs(Ability.MANAGE_USERS)
def people(request: HttpRequest) -> HttpResponse:
    return _list(request, PersonForm())


@never_cache
@require_POST
@needs(Ability.MANAGE_USERS)
def add(request: HttpRequest) -> HttpResponse:
    """The one answer that shows the link: it is part of this page only, never kept or redirected to."""
    form = PersonForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    name, by = form.cleaned_data["name"], person(request)
    try:
        link = links.invite(
            name, Role(form.cleaned_data["role"]), by.principal, language=Language(by.language)
        )
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _list(request, form, status=422)
    return _one(request, User.normalize_username(name), link=link)


@needs(Ability.MANAGE_USERS)
def one(request: HttpRequest, name: str) -> HttpResponse:
    return _one(request, name)


@require_POST
@needs(Ability.MANAGE_USERS)
def role(request: HttpRequest, name: str) -> HttpResponse:
    wanted = request.POST.get("role", "")
    if wanted not in {known.value for known in Role}:
        messages.error(request, _("There is no such role."))
        return redirect("people-one", name)
    return _change(
        request,
        name,
        lambda: services.set_role(name, Role(wanted), person(request).principal),
        _("%(name)s has the role %(role)s now.") % {"name": name, "role": word(wanted).text},
    )


@require_POST
@needs(Ability.MANAGE_USERS)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    active = request.POST.get("active") == "yes"
    said = _("%(name)s may log in again.") if active else _("%(name)s is locked out, on every browser.")
    return _change(
        request,
        name,
        lambda: services.set_active(name, active, person(request).principal),
        said % {"name": name},
    )


@never_cache
@require_POST
@needs(Ability.MANAGE_USERS)
def password(request: HttpRequest, name: str) -> HttpResponse:
    """As ``add``: the link is shown this once."""
    try:
        return _one(request, name, link=links.password_link(name, person(request).principal))
    except NoSuchUser as error:
        raise Http404(str(error)) from error


@require_POST
@needs(Ability.MANAGE_USERS)
def reset(request: HttpRequest, name: str) -> HttpResponse:
    return _change(
        request,
        name,
        lambda: two_step.reset_two_step(name, person(request).principal),
        _("%(name)s logs in with the password alone until a new second step is set up.") % {"name": name},
    )


def _change(request: HttpRequest, name: str, change: Callable[[], Any], said: str) -> HttpResponse:
    try:
        change()
    except NoSuchUser as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect("people-one", name)


def _list(request: HttpRequest, form: PersonForm, status: int = 200) -> HttpResponse:
    after = request.GET.get("after", "").replace("\x00", "")
    found = list(two_step.people().filter(username__gt=after)[: PAGE + 1])
    context = {
        "people": found[:PAGE],
        "next": found[PAGE - 1].username if len(found) > PAGE else None,
        "form": form,
    }
    return render(request, "people/list.html", context, status=status)


def _one(request: HttpRequest, name: str, link: str = "") -> HttpResponse:
    found = two_step.people().filter(username=name.replace("\x00", "")).first()
    if found is None:
        raise Http404(name)
    context = {
        "one": found,
        "roles": ROLES,
        "grant_form": GrantForm(),
        "browsers": browsers_of(found, datetime.now(UTC), current=request.session.session_key),
        "required": found.role in settings.CONFIG.two_step_roles,
        "link": f"{settings.CONFIG.public_url}/password/{link}/" if link else "",
    }
    return render(request, "people/one.html", context)
