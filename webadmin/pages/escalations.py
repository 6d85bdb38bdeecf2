"""Escalations: what nobody has acknowledged yet, and what has been."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.escalations import services
from appliance.escalations.domain import Way
from appliance.escalations.models import Escalation
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.paging import PAGE, cut, uuid_key
from webadmin.sentences import in_language


@dataclass(frozen=True, slots=True)
class EscalationView:
    """One for its card. ``following`` are told next; ``theirs`` and ``may_withdraw``: whose buttons it has."""

    row: Escalation
    following: Sequence[str]
    theirs: bool
    may_withdraw: bool


def views_of(rows: Sequence[Escalation], by: Principal) -> list[EscalationView]:
    return [
        EscalationView(
            row,
            row.stages[row.stage]["to"] if row.stage < len(row.stages) else [],
            services.may_answer(row, by),
            by.can(Ability.CANCEL_RUNS, task=row.task or None),
        )
        for row in rows
    ]


@needs(Ability.VIEW)
def escalations(request: HttpRequest) -> HttpResponse:
    """What waits first; below it what has been settled, newest first."""
    cursor, before = current_cursor(), uuid_key(request.GET.get("before", ""))
    settled, following = cut(services.settled(before, PAGE + 1))
    context = {
        "cursor": cursor,
        "escalations": [] if before else views_of(services.waiting(), person(request).principal),
        "settled": settled,
        "next": following,
    }
    return render(request, "escalations/list.html", context)


@require_POST
@needs_somewhere(Ability.RUN_TASKS)
def answer(request: HttpRequest, escalation_id: UUID) -> HttpResponse:
    by, now, ref = person(request).principal, datetime.now(UTC), str(escalation_id)
    try:
        if request.POST.get("do") == "withdraw":
            row = services.withdraw(ref, by, now, Way.WEB)
            messages.success(request, _("Withdrawn: %(what)s") % {"what": row.title})
        else:
            row = services.acknowledge(ref, by, now, Way.WEB)
            messages.success(request, _("You have acknowledged: %(what)s") % {"what": row.title})
    except MillwrightError as error:
        messages.error(request, in_language(error.message))
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "escalations")
