"""The outbox: what is on its way to somebody, what waits and why, and what became of the rest."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.outbox import services
from appliance.outbox.domain import OutboxState
from appliance.outbox.errors import ItemNotFound
from webadmin.pages.access import needs, person
from webadmin.pages.paging import PAGE, cut, uuid_key


@needs(Ability.VIEW)
def outbox(request: HttpRequest) -> HttpResponse:
    """Newest first, filtered by state and platform; above it, whom something waits for."""
    cursor = current_cursor()
    state = request.GET.get("state", "")
    platform = request.GET.get("platform", "").replace("\x00", "")[:64]
    found = services.listed(
        states=frozenset({OutboxState(state)}) if state in set(OutboxState) else None,
        platform=platform or None,
        before=uuid_key(request.GET.get("before", "")),
        limit=PAGE + 1,
    )
    items, following = cut(found)
    context = {
        "cursor": cursor,
        "items": items,
        "next": following,
        "targets": services.targets(),
        "states": [one.value for one in OutboxState],
        "state": state,
        "platform": platform,
        "may_act": person(request).can(Ability.CANCEL_RUNS),
    }
    return render(request, "outbox.html", context)


@require_POST
@needs(Ability.CANCEL_RUNS)
def act(request: HttpRequest, item_id: UUID) -> HttpResponse:
    """Send it now, or give it up."""
    by = person(request).principal
    try:
        if request.POST.get("do") == "drop":
            services.drop(item_id, by)
            messages.success(request, _("The message is dropped; its step fails."))
        else:
            services.retry(item_id, by)
            messages.success(request, _("The message is tried now."))
    except ItemNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "outbox")
