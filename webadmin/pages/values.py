"""Kept values: what is kept, edits that met, what a peer refuses, and how far each peer is."""

from collections.abc import Callable
from datetime import UTC, datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.cache import decisions, looking
from appliance.cache.domain import Choice
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs, person
from webadmin.pages.paging import PAGE, cut, number_key

SHOWN = 20
"""Conflicts that are open, and parked items, on the first page; the rest follow as these are decided."""


@needs(Ability.VIEW)
def values(request: HttpRequest) -> HttpResponse:
    wanted, after = (request.GET.get(name, "").replace("\x00", "")[:200] for name in ("prefix", "after"))
    rows = looking.entries(wanted)
    found, following = cut(list((rows.filter(key__gt=after) if after else rows)[: PAGE + 1]))
    context = {
        "cursor": current_cursor(),
        "peers": looking.peers(),
        "conflicts": looking.conflicts(only_open=True)[:SHOWN],
        "parked": looking.parked()[:SHOWN],
        "entries": found,
        "next": following,
        "prefix": wanted,
        "may_edit": person(request).can(Ability.EDIT_VALUES),
    }
    return render(request, "values/list.html", context)


@needs(Ability.VIEW)
def decided(request: HttpRequest) -> HttpResponse:
    """Conflicts that were decided, newest first."""
    rows = looking.conflicts().filter(decided_at__isnull=False).order_by("-id")
    before = number_key(request.GET.get("before", ""))
    if before:
        rows = rows.filter(pk__lt=before)
    found, following = cut(list(rows[: PAGE + 1]))
    may_edit = person(request).can(Ability.EDIT_VALUES)
    return render(
        request, "values/decided.html", {"conflicts": found, "next": following, "may_edit": may_edit}
    )


@require_POST
@needs(Ability.EDIT_VALUES)
def decide(request: HttpRequest, conflict: int) -> HttpResponse:
    """``take`` is ``mine`` or ``theirs``; of a conflict that is decided already the value is restored."""
    choice = Choice.THEIRS if request.POST.get("take") == Choice.THEIRS else Choice.MINE

    def work(by: Principal) -> None:
        if request.POST.get("restore"):
            decisions.restore(conflict, choice, by)
        else:
            decisions.take(conflict, choice, by, datetime.now(UTC))

    _perform(request, work, _("Done. The other value stays with the conflict."))
    return redirect("values-decided" if request.POST.get("restore") else "values")


@require_POST
@needs(Ability.EDIT_VALUES)
def parked(request: HttpRequest, item: int) -> HttpResponse:
    """``what`` is ``retry`` or ``drop``."""
    act = decisions.drop if request.POST.get("what") == "drop" else decisions.retry
    _perform(request, lambda by: act(item, by), _("Done."))
    return redirect("values")


def _perform(request: HttpRequest, work: Callable[[Principal], object], done: str) -> None:
    try:
        work(person(request).principal)
    except MillwrightError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done)
