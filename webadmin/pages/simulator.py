"""The button that starts and stops the simulated line."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.audit.services import append_here
from webadmin.pages.access import needs, person
from webadmin.simulator import PLAYER


@require_POST
@needs(Ability.SIMULATE)
def simulator(request: HttpRequest) -> HttpResponse:
    by = person(request).principal.name
    if request.POST.get("do") == "start":
        if PLAYER.start(settings.CONFIG):
            append_here("simulator.started", by, "simulator", {})
    elif PLAYER.stop():
        append_here("simulator.stopped", by, "simulator", {})
    return redirect("overview")
