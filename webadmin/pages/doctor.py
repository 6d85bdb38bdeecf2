"""The doctor: what is wrong with the box and its security, and what mends it."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.lib.doctor import Outcome, Severity
from appliance.ops import services
from appliance.ops.errors import LookedJustNow
from webadmin.pages.access import needs, person
from webadmin.sentences import in_language

_WEIGHT = {severity.value: place for place, severity in enumerate(Severity)}


@needs(Ability.EXAMINE)
def doctor(request: HttpRequest) -> HttpResponse:
    row = services.last()
    found: list[dict[str, Any]] = sorted(row.findings, key=_order) if row else []
    by_outcome = {
        outcome.value: [one for one in found if one["outcome"] == outcome.value] for outcome in Outcome
    }
    context = {
        "last": row,
        "problems": by_outcome[Outcome.PROBLEM],
        "unknown": by_outcome[Outcome.UNKNOWN],
        "fine": [*by_outcome[Outcome.GOOD], *by_outcome[Outcome.ABSENT]],
    }
    return render(request, "doctor/page.html", context)


def _order(finding: dict[str, Any]) -> tuple[int, str]:
    """The serious ones first, then by name."""
    return _WEIGHT[finding["severity"]], finding["id"]


@require_POST
@needs(Ability.EXAMINE)
def look(request: HttpRequest) -> HttpResponse:
    try:
        services.look(person(request).principal, datetime.now(UTC))
    except LookedJustNow as error:
        messages.warning(request, f"{in_language(error.message)} ({in_language(error.hint or '')})")
    return redirect("doctor")
