"""One chat platform: added, changed, tested, switched, removed, by the form that its own configuration makes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.bridges import services
from appliance.bridges.errors import PlatformMoved, PlatformsInvalid, PlatformUnknown, Problem
from appliance.bridges.exchange import differences, flat
from appliance.bridges.ports import BridgeFactory, Probe, ProbeState
from appliance.bridges.probing import probe_platform
from appliance.bridges.registry import bridges
from appliance.bridges.services import PlatformView
from appliance.bridges.taking import Loaded
from appliance.events.services import current_cursor
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.outbox.models import OutboxRow
from appliance.safety.secrets import list_secrets
from webadmin.pages.access import needs, person
from webadmin.pages.paging import uuid_key
from webadmin.pages.platform_forms import PlatformForm
from webadmin.pages.platform_uses import tasks_that_tell
from webadmin.sentences import in_language


@needs(Ability.MANAGE_BRIDGES)
def kinds(request: HttpRequest) -> HttpResponse:
    """Every kind that can be added, with what it needs."""
    known = [factory for factory in bridges().values() if factory.guide]
    return render(
        request, "platforms/kinds.html", {"kinds": sorted(known, key=lambda one: one.title.lower())}
    )


@never_cache
@sensitive_post_parameters()
@needs(Ability.MANAGE_BRIDGES)
def add(request: HttpRequest, kind: str) -> HttpResponse:
    factory = bridges().get(kind)
    if factory is None or factory.guide is None:
        raise Http404(kind)
    form = PlatformForm(
        factory, request.POST or None, stored={"name": _free_name(kind)}, renamed=True
    )  # fmt: skip
    if request.method == "POST" and (saved := _save(request, form, 0)):
        return redirect("platform", saved.name)
    return _page(request, factory, form, None)


@never_cache
@sensitive_post_parameters()
@needs(Ability.VIEW)
def one(request: HttpRequest, name: str) -> HttpResponse:
    """A platform with its state; for who may change it, its form and the last test."""
    view = _find(name)
    factory = bridges().get(view.kind)
    if factory is None:
        raise Http404(view.kind)
    may_manage = person(request).can(Ability.MANAGE_BRIDGES)
    if request.method == "POST" and not may_manage:
        return HttpResponse(status=403)
    editable = may_manage and view.revision > 0
    form = PlatformForm(factory, request.POST or None, stored=view.config) if editable else None
    if form is not None and request.method == "POST" and _save(request, form, _number(request)):
        return redirect("platform", name)
    return _page(request, factory, form, view)


@require_POST
@needs(Ability.MANAGE_BRIDGES)
def test(request: HttpRequest, name: str) -> HttpResponse:
    """A real round trip: ask the platform who we are, then send a message the way a task would."""
    item = None
    try:
        probe = probe_platform(_find(name).name)
        _tell_probe(request, name, probe)
        if probe.state is ProbeState.OK:
            item = services.send_test(
                name, _("A test from Millwright."), person(request).principal, datetime.now(UTC)
            )
    except MillwrightError as error:
        messages.error(request, in_language(error.message))
    return redirect(reverse("platform", args=[name]) + (f"?test={item}#test" if item else ""))


@require_POST
@needs(Ability.MANAGE_BRIDGES)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    try:
        services.set_enabled(name, request.POST.get("enabled") == "yes", person(request).principal)
    except MillwrightError as error:
        messages.error(request, in_language(error.message))
        return redirect("platforms")
    return redirect("platform", name)


@needs(Ability.MANAGE_BRIDGES)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Asks first, and names what waits for the platform and what writes to it."""
    view = _find(name)
    if view.revision == 0:
        raise Http404(name)
    if request.method != "POST":
        context = {"platform": view, "tasks": tasks_that_tell(name)}
        return render(request, "platforms/remove.html", context)
    try:
        services.remove_platform(name, person(request).principal)
    except MillwrightError as error:
        messages.error(request, in_language(error.message))
    else:
        messages.success(request, _("%(name)s is removed.") % {"name": name})
    return redirect("platforms")


def _find(name: str) -> PlatformView:
    try:
        return services.platform(name)
    except PlatformUnknown as error:
        raise Http404(str(error)) from error


def _free_name(kind: str) -> str:
    taken = {view.name for view in services.platforms()}
    names = (kind, *(f"{kind}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _number(request: HttpRequest) -> int:
    given = request.POST.get("revision", "")
    return int(given) if given.isdecimal() and len(given) < 10 else -1


def _save(request: HttpRequest, form: PlatformForm, revision: int) -> Loaded | None:
    """What was saved; None with the problems in the form."""
    if not form.is_valid():
        return None
    entry, typed = form.entry()
    try:
        _is_free(str(entry.get("webhook", "")))
        saved = services.save_platform(
            entry, person(request).principal, datetime.now(UTC), typed=typed, revision=revision
        )
    except PlatformsInvalid as error:
        form.add_problems(error.problems)
        return None
    except PlatformMoved as error:
        form.moved = True
        form.add_error(None, in_language(error.message))
        return None
    except MillwrightError as error:
        form.add_error(None, in_language(error.message))
        return None
    said = _("Nothing was different.") if saved.change == "unchanged" else _("Saved. The box connects now.")
    messages.success(request, said)
    return saved


def _is_free(webhook: str) -> None:
    """The path of a webhook is served as it stands, unless the box has a page there. Raises PlatformsInvalid."""
    path = urlsplit(webhook).path
    try:
        taken = bool(path) and resolve(path).view_name != "anything-else"
    except Resolver404:
        taken = False
    if taken:
        raise PlatformsInvalid([Problem("webhook", _("the box has a page of its own under this path"))])


def _tell_probe(request: HttpRequest, name: str, probe: Probe) -> None:
    if probe.state is not ProbeState.OK:
        messages.error(request, f"{name}: {in_language(_(probe.message)) if probe.message else ''}")
        return
    values = {"name": name, "who": probe.identity or name, "ms": round(probe.round_trip_ms or 0)}
    messages.success(
        request, _("%(name)s answered in %(ms)s ms: the box is %(who)s there.") % values
    )  # fmt: skip


def _page(
    request: HttpRequest, factory: BridgeFactory, form: PlatformForm | None, view: PlatformView | None
) -> HttpResponse:
    wrong = form is not None and form.is_bound and bool(form.errors)
    moved = form is not None and form.moved
    context: dict[str, Any] = {
        "cursor": current_cursor(),
        "factory": factory,
        "guide": factory.guide,
        "platform": view,
        "form": form,
        "sections": list(form.sections()) if form else [],
        "revision": view.revision if view else 0,
        "moved": differences(view.config, form.without_values()) if moved and form and view else [],
        "known_secrets": [secret.name for secret in list_secrets()[:200]] if form else [],
        "address": _address(factory, view.config if view else {}),
        "test": _tested(request, view),
        "may_manage": person(request).can(Ability.MANAGE_BRIDGES),
    }
    return render(request, "platforms/one.html", context, status=422 if wrong else 200)


def _address(factory: BridgeFactory, config: Mapping[str, Any]) -> dict[str, Any]:
    """Where the platform calls the box: as it is configured, or as it could be."""
    if factory.webhook is None:
        return {}
    configured = flat(config).get("webhook", "")
    return {"url": configured, "example": f"{get_config().public_url}/api/{factory.kind}"}


def _tested(request: HttpRequest, view: PlatformView | None) -> OutboxRow | None:
    """The test message that the address names."""
    item = uuid_key(request.GET.get("test", "")) if view else None
    return OutboxRow.objects.filter(pk=item, platform=view.name).first() if item and view else None
