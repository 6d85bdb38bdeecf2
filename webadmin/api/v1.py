"""``/api/v1``: the same services as the screens, for programs."""

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from appliance.agent.errors import ProposalMoved
from appliance.alerts.errors import RulesMoved, RulesRefused
from appliance.bridges.errors import PlatformMoved, PlatformsInvalid, PlatformUnknown
from appliance.cache.errors import CacheConflict
from appliance.escalations.errors import EscalationSettled
from appliance.lib.errors import MillwrightError
from appliance.lib.located.problems import FileRefused
from appliance.ops.errors import LookedJustNow
from appliance.outbox.errors import ItemBusy
from appliance.runs.fork import ForkRefused
from appliance.runs.given import InputsNotTaken
from appliance.runs.services import NotNow
from appliance.safety.approvals.errors import ApprovalRefused
from appliance.safety.errors import ReadOnlyNow
from appliance.safety.policy.errors import PolicyMoved
from appliance.tasks.loader import TaskFileError
from webadmin.api import (
    agents,
    approvals,
    audit,
    box,
    brokers,
    calendar,
    conversations,
    doctor,
    escalations,
    hardware,
    mcp,
    models,
    notes,
    outbox,
    people,
    platforms,
    policy,
    proposals,
    readings,
    runs,
    safety,
    sync,
    tasks,
)
from webadmin.api.auth import EITHER
from webadmin.api.schemas import ErrorOut, ProblemOut

api = NinjaAPI(
    title="Millwright",
    version="1",
    description="Tasks, runs, events and the all-stop of this box. Send `Authorization: Bearer <token>`.",
    auth=EITHER,
    docs_url=None,
    urls_namespace="api-1",
)
api.add_router("/tasks", tasks.router)
api.add_router("/readings", readings.router)
api.add_router("/runs", runs.router)
api.add_router("/runs", agents.router)
api.add_router("/approvals", approvals.router)
api.add_router("/audit", audit.router)
api.add_router("/brokers", brokers.router)
api.add_router("/calendar", calendar.router)
api.add_router("/conversations", conversations.router)
api.add_router("/doctor", doctor.router)
api.add_router("/escalations", escalations.router)
api.add_router("/hardware", hardware.router)
api.add_router("/mcp", mcp.router)
api.add_router("/models", models.router)
api.add_router("/notes", notes.router)
api.add_router("/outbox", outbox.router)
api.add_router("/people", people.router)
api.add_router("/platforms", platforms.router)
api.add_router("/policy", policy.router)
api.add_router("/proposals", proposals.router)
api.add_router("/safety", safety.router)
api.add_router("/sync", sync.router)
api.add_router("", box.router)


@api.exception_handler(ValidationError)
def misunderstood(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """A request that does not fit its description: as every refusal, with what ninja says of it beside that."""
    first = error.errors[0] if error.errors else {}
    where = ".".join(str(part) for part in first.get("loc", ()))
    body = ErrorOut(code="api.invalid", message=f"{where}: {first.get('msg', 'not understood')}")
    return api.create_response(request, {**body.model_dump(), "detail": error.errors}, status=422)


_SAID: dict[int, tuple[str, str, str]] = {
    400: ("api.unreadable", "the body of the request is not JSON", "send JSON, as in {}"),
    401: ("api.unauthorized", "nobody is logged in", "send Authorization: Bearer <token>"),
}
"""Code, message and hint of what ninja refuses before anything of ours is asked."""


@api.exception_handler(HttpError)
def refused_early(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Who calls may not, or cannot be read: as every refusal."""
    otherwise = ("accounts.not_allowed" if error.status_code == 403 else "api.refused", str(error), "")
    code, message, hint = _SAID.get(error.status_code, otherwise)
    body = ErrorOut(code=code, message=message, hint=hint).model_dump()
    return api.create_response(request, body, status=error.status_code)


@api.exception_handler(FileRefused)
def refused_file(request: HttpRequest, error: FileRefused) -> HttpResponse:
    names: dict[type[FileRefused], str] = {TaskFileError: "task file", RulesRefused: "alert rules"}
    what = names.get(type(error), "policy")
    verb = "were" if what.endswith("s") else "was"
    body = ErrorOut(code=error.code, message=f"the {what} {verb} refused").model_dump()
    problems = [ProblemOut.model_validate(one.to_json()).model_dump() for one in error.problems]
    return api.create_response(request, {**body, "problems": problems}, status=422)


@api.exception_handler(PlatformsInvalid)
def refused_platform(request: HttpRequest, error: PlatformsInvalid) -> HttpResponse:
    body = ErrorOut(code=error.code, message="the platform was refused").model_dump()
    problems = [{"path": one.path, "message": one.message, "hint": one.hint} for one in error.problems]
    return api.create_response(request, {**body, "problems": problems}, status=422)


@api.exception_handler(MillwrightError)
def refused(request: HttpRequest, error: MillwrightError) -> HttpResponse:
    body = ErrorOut(code=error.code, message=error.message, hint=error.hint or "")
    return api.create_response(request, body.model_dump(), status=_status(error))


def _status(error: MillwrightError) -> int:
    if (
        error.code.endswith((".not_found", "_not_found"))
        or error.code in ("accounts.no_such_user", "model.unknown")
        or isinstance(error, PlatformUnknown)
    ):
        return 404
    if error.code == "accounts.not_allowed" or isinstance(error, ApprovalRefused):
        return 403
    if isinstance(error, InputsNotTaken):
        return 400
    if isinstance(error, LookedJustNow):
        return 429
    if isinstance(error, ReadOnlyNow):
        return 423
    if isinstance(
        error,
        NotNow
        | ItemBusy
        | ForkRefused
        | CacheConflict
        | PolicyMoved
        | RulesMoved
        | EscalationSettled
        | PlatformMoved
        | ProposalMoved,
    ):
        return 409
    return 422 if error.permanent else 503
