"""Chat platforms: their health, and who may talk to the box."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.bridges import identities, mutes, services
from appliance.bridges.liveness import deaf
from appliance.bridges.models import ChatIdentity
from appliance.bridges.pairing import VALID_FOR, new_code
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person


@needs(Ability.VIEW)
def platforms(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
@needs(Ability.RUN_TASKS)
def end_mute(request: HttpRequest, mute_id: int) -> HttpResponse:
    """What was muted in a chat is told again, and what was held back comes now."""
    try:
        held = mutes.end_mute(mute_id, person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        said = ngettext(
            "The mute has ended; %(count)d message was held.",
            "The mute has ended; %(count)d messages were held.",
            held,
        )
        messages.success(request, said % {"count": held})
    return redirect("platforms")


@require_POST
@needs(Ability.MANAGE_USERS)
def link(request: HttpRequest, identity_id: int) -> HttpResponse:
    """Let somebody in a chat act as a person of this box, or take that back."""
    username = request.POST.get("person", "")
    try:
        if username:
            found = User.objects.filter(username=username, is_active=True).first()
            if found is None:
                messages.error(request, _("Nobody here is called %(name)s.") % {"name": username[:150]})
            else:
                identities.link_identity(identity_id, found, person(request).principal)
        else:
            identities.unlink_identity(identity_id, person(request).principal)
    except ChatIdentity.DoesNotExist as error:
        raise Http404(str(error)) from error
    return redirect("platforms")


@require_POST
@never_cache
@needs(Ability.VIEW)
def pair(request: HttpRequest) -> HttpResponse:
    """A code for oneself, shown once."""
    found = person(request)
    try:
        code = new_code(found, found.principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
        return redirect("platforms")
    return _page(request, code=code)


def _page(request: HttpRequest, code: str = "") -> HttpResponse:
    found, now = services.platforms(), datetime.now(UTC)
    context = {
        "cursor": current_cursor(),
        "platforms": found,
        "deaf_since": {one.name: one.deaf_since for one in deaf(now)},
        "bare": not any(one.revision for one in found),
        "identities": identities.identities(),
        "mutes": mutes.mutes(datetime.now(UTC)),
        "may_mute": person(request).can_somewhere(Ability.RUN_TASKS),
        "code": code,
        "code_minutes": int(VALID_FOR.total_seconds() // 60),
        "people": User.objects.filter(is_active=True).values_list("username", flat=True)[:200],
        "may_manage": person(request).can(Ability.MANAGE_BRIDGES),
        "may_link": person(request).can(Ability.MANAGE_USERS),
    }
    return render(request, "platforms/list.html", context)
