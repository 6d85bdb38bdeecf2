"""The all-stop: a button on every page, and its release."""

from datetime import UTC, datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.processes.cutting import what_is_cut
from appliance.safety.allstop import Level, engage, release
from webadmin.pages.access import needs, person

LONGEST_REASON = 500


@require_POST
@needs(Ability.STOP_ALL)
def stop(request: HttpRequest) -> HttpResponse:
    """Engage. A level that nobody knows is the strictest that the form offers: stopping must not fail."""
    wanted = request.POST.get("level", "")
    level = Level(wanted) if wanted in set(Level) - {Level.NONE} else Level.KILL
    reason = request.POST.get("reason", "")[:LONGEST_REASON]
    try:
        stands = engage(level, reason, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        if stands.cuts and not (cut := what_is_cut(get_config())).commands:
            messages.warning(
                request,
                _("Commands that still run are killed; their network is not cut by the kernel: %(reason)s")
                % {"reason": cut.reason},
            )
    return _back(request)


@require_POST
@needs(Ability.RELEASE_STOP)
def let_go(request: HttpRequest) -> HttpResponse:
    reason = request.POST.get("reason", "")[:LONGEST_REASON]
    try:
        release(reason, person(request).principal, datetime.now(UTC))
    except MillwrightError as error:
        messages.error(request, str(error))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "overview")
