"""The audit record, newest first, and its verification."""

from datetime import UTC, datetime

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.audit.checking import verify_database
from appliance.audit.models import AuditRecord
from appliance.audit.report import Report
from appliance.lib.errors import MillwrightError
from webadmin.pages.access import needs
from webadmin.pages.paging import PAGE, cut, number_key


@needs(Ability.VIEW_AUDIT)
def audit(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
@needs(Ability.VIEW_AUDIT)
def verify(request: HttpRequest) -> HttpResponse:
    """Walk the whole chain: minutes on a large box, so only when somebody asks."""
    try:
        report = verify_database(settings.CONFIG.home.path)
    except MillwrightError as error:
        messages.error(request, _("The record could not be verified: %(why)s") % {"why": error})
        return _page(request)
    return _page(request, report)


def _page(request: HttpRequest, report: Report | None = None) -> HttpResponse:
    rows = AuditRecord.objects.order_by("-seq")
    kind, principal = (request.GET.get(key, "").replace("\x00", "")[:200] for key in ("kind", "principal"))
    if kind:
        rows = rows.filter(kind__startswith=kind)
    if principal:
        rows = rows.filter(principal=principal)
    before = number_key(request.GET.get("before", ""))
    if before:
        rows = rows.filter(seq__lt=before)
    records, following = cut(list(rows[: PAGE + 1]))
    context = {
        "records": records,
        "next": following,
        "kind": kind,
        "principal": principal,
        "report": report,
        "verified_at": datetime.now(UTC) if report else None,
    }
    return render(request, "audit.html", context)
