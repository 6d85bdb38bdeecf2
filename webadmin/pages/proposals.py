"""Tasks that agents propose: the list, and one of them as a difference, with the two answers."""

from datetime import UTC, datetime
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.agent.errors import ProposalUnknown
from appliance.agent.proposals import services
from appliance.lib.errors import MillwrightError
from appliance.lib.sentences import sentence_of
from webadmin.pages.access import needs, needs_somewhere, person
from webadmin.pages.editor import diff_lines
from webadmin.pages.paging import PAGE, cut, uuid_key


@needs(Ability.VIEW)
def proposals(request: HttpRequest) -> HttpResponse:
    """What waits first; below it what was decided, newest first."""
    before = uuid_key(request.GET.get("before", ""))
    decided = services.decided()
    found, following = cut(list((decided.filter(pk__lt=before) if before else decided)[: PAGE + 1]))
    waiting = [] if before else list(services.listing(only_open=True)[:PAGE])
    return render(request, "proposals/list.html", {"waiting": waiting, "decided": found, "next": following})


@needs(Ability.VIEW)
def proposal(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    try:
        row = services.find(str(proposal_id))
    except ProposalUnknown as error:
        raise Http404(str(error)) from error
    found = services.compared(row)
    context = {
        "row": row,
        "number": found.number,
        "moved": found.moved and row.state == "open",
        "lines": list(diff_lines(found.before if row.state == "open" else "", row.text)),
        "compared": bool(found.number) and row.state == "open",
        "may_edit": person(request).principal.can(Ability.EDIT_TASKS, task=row.task),
    }
    return render(request, "proposals/page.html", context)


@require_POST
@needs_somewhere(Ability.EDIT_TASKS)
def answer(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    by, now, ref = person(request).principal, datetime.now(UTC), str(proposal_id)
    try:
        if request.POST.get("do") == "take":
            done = services.take(ref, by, now)
            messages.success(
                request, _("The proposal was taken over: %(what)s") % {"what": f"{done.name} v{done.version}"}
            )
            return redirect("task", name=done.name)
        row = services.reject(ref, by, now, request.POST.get("reason", ""))
        messages.success(request, _("Rejected: %(what)s") % {"what": row.task})
    except MillwrightError as error:
        messages.error(request, sentence_of(error))
        return redirect("proposal", proposal_id=proposal_id)
    return redirect("proposals")
