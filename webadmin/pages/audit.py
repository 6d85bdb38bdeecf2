"""The audit record: searched, verified, and the evidence of a run to take away."""

from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from appliance.accounts.domain import Ability
from appliance.audit.checking import verify_database
from appliance.audit.heads import fingerprint
from appliance.audit.report import Report
from appliance.audit.search import Search, search
from appliance.audit.services import trusted_key
from appliance.lib.errors import MillwrightError
from appliance.runs.evidence.services import export_run
from appliance.runs.services import RunNotFound
from webadmin.pages.access import needs, person
from webadmin.pages.paging import PAGE, number_key

TEXTS = ("kind", "principal", "about", "text")
TIMES = ("since", "until")


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


@require_POST
@needs(Ability.VIEW_AUDIT)
def evidence(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The bundle of a run, as a file."""
    try:
        bundle = export_run(run_id, person(request).principal, datetime.now(UTC))
    except RunNotFound as error:
        raise Http404(str(error)) from error
    except MillwrightError as error:
        messages.error(request, str(error))
        return redirect("run", run_id=run_id)
    return attached(bundle.name, bundle.content)


def attached(name: str, content: bytes) -> HttpResponse:
    """A ZIP file that the browser keeps, never opens."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type="application/zip", headers=headers)


def _page(request: HttpRequest, report: Report | None = None) -> HttpResponse:
    said = {key: request.GET.get(key, "").replace("\x00", "").strip()[:200] for key in (*TEXTS, *TIMES)}
    times = {key: _moment(said[key]) for key in TIMES}
    wanted = Search(
        since=times["since"],
        until=times["until"],
        kind=said["kind"],
        principal=said["principal"],
        about=said["about"],
        text=said["text"],
    )
    found = search(wanted, number_key(request.GET.get("before", "")), PAGE)
    context = {
        "records": found.records,
        "next": found.next,
        "looked": found.looked,
        "said": said,
        "unreadable": [said[key] for key in TIMES if said[key] and times[key] is None],
        "filtered": any(said.values()),
        "report": report,
        "fingerprint": _fingerprint(),
    }
    return render(request, "audit/record.html", context)


def _moment(text: str) -> datetime | None:
    """Of a date and time field, or of a person's hand; without a zone it is UTC."""
    try:
        found = parse_datetime(text) or datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _fingerprint() -> str:
    try:
        return fingerprint(trusted_key(settings.CONFIG.home.path))
    except MillwrightError:
        return ""
