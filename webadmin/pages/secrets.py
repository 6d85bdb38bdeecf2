"""Secrets: names, never values. Set, replaced, forgotten, and where they are named."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.bridges.models import Platform
from appliance.bus.models import Broker
from appliance.cache.models import CachePeer
from appliance.lib.errors import MillwrightError
from appliance.safety.models import Secret
from appliance.safety.secrets import remove_secret, secrets_after, set_secret
from appliance.tasks.definition.triggers import WebhookSpec
from appliance.tasks.models import Task, TaskTrigger
from appliance.tasks.secret_names import named_in
from webadmin.pages.access import needs, person
from webadmin.pages.paging import PAGE

_NAMED = re.compile(r"\bsecret:([A-Za-z0-9][A-Za-z0-9_.-]*)")


class Unshown(forms.Textarea):
    """What was typed never comes back in a page, not even with an error. Keys in several lines fit."""

    def format_value(self, value: Any) -> str:
        return ""


class SecretForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        widget=forms.TextInput(
            attrs={"autocapitalize": "none", "autocomplete": "off", "placeholder": "API_KEY"}
        ),
        help_text=gettext_lazy("A name that is there already gets the new value."),
    )
    value = forms.CharField(
        label=gettext_lazy("Value"),
        strip=False,
        widget=Unshown(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("It is encrypted, and never shown again."),
    )


@needs(Ability.MANAGE_SECRETS)
def secrets(request: HttpRequest) -> HttpResponse:
    return _page(request, SecretForm(initial={"name": request.GET.get("name", "")[:100]}))


@never_cache
@sensitive_post_parameters("value")
@require_POST
@needs(Ability.MANAGE_SECRETS)
def save(request: HttpRequest) -> HttpResponse:
    form = SecretForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    name = form.cleaned_data["name"]
    value = form.cleaned_data["value"].replace("\r\n", "\n").rstrip("\n")
    try:
        set_secret(name, value, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        form.add_error(None, str(error))
        return _page(request, form, status=422)
    messages.success(request, _("Kept. Name it as secret:%(name)s.") % {"name": name})
    return redirect("secrets")


@require_POST
@needs(Ability.MANAGE_SECRETS)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    try:
        remove_secret(name, person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("%(name)s is forgotten.") % {"name": name})
    return redirect("secrets")


def uses_of(names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """For each name the kind (``task``, ``platform``, ``broker``, ``box``) and name of whatever names it now."""
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in names}
    for kind, owner, named in (*_in_tasks(), *_in_webhooks(), *_in_platforms(), *_in_settings()):
        for name in named & found.keys():
            found[name].add((kind, owner))
    return {name: sorted(owners) for name, owners in found.items()}


def _in_tasks() -> Iterator[tuple[str, str, set[str]]]:
    # A step of the kind sql names its database's secret without `secret:` before it.
    candidates = Q(current__text__contains="secret:") | Q(current__text__contains="database")
    rows = Task.objects.filter(candidates).values_list("name", "current__definition")
    for owner, definition in rows:
        yield "task", owner, set(named_in(definition))


def _in_webhooks() -> Iterator[tuple[str, str, set[str]]]:
    rows = TaskTrigger.objects.filter(kind="webhook", active=True).values_list("task__name", "spec")
    for owner, spec in rows:
        yield "task", owner, {WebhookSpec.model_validate(spec["webhook"]).secret_name}


def _in_platforms() -> Iterator[tuple[str, str, set[str]]]:
    for owner, config in Platform.objects.values_list("name", "config"):
        yield "platform", owner, set(_NAMED.findall(json.dumps(config)))


def _in_settings() -> Iterator[tuple[str, str, set[str]]]:
    for owner, password in Broker.objects.exclude(password="").values_list("name", "password"):
        yield "broker", owner, set(_NAMED.findall(password))
    for owner, token in CachePeer.objects.exclude(token="").values_list("name", "token"):
        yield "box", owner, set(_NAMED.findall(token))


def _page(request: HttpRequest, form: SecretForm, status: int = 200) -> HttpResponse:
    after = request.GET.get("after", "").replace("\x00", "")
    found = secrets_after(after, PAGE + 1)
    rows: list[Secret] = found[:PAGE]
    uses = uses_of(row.name for row in rows)
    context = {
        "secrets": [(row, uses[row.name], ", ".join(owner for _, owner in uses[row.name])) for row in rows],
        "next": found[PAGE - 1].name if len(found) > PAGE else None,
        "form": form,
    }
    return render(request, "secrets.html", context, status=status)
