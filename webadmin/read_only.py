"""At the all-stop's level ``read_only`` no request changes anything: one rule for pages, the API and webhooks."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from appliance.safety.allstop import Level, current
from appliance.safety.read_only import refusal

LOCKED = 423
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

EXEMPT: dict[str, str] = {
    "stop": "a stop can always be asked for, and is on the record",
    "stop-release": "releasing the stop is the way out",
    "api-1:stop": "a stop can always be asked for, and is on the record",
    "api-1:let_go": "releasing the stop is the way out",
    "account_login": "whoever releases the stop has to log in first",
    "mfa_authenticate": "the second step of that log-in",
    "mfa_activate_totp": "whose role must log in in two steps sets it up on the way to the release",
    "admin:login": "whoever releases the stop has to log in first",
    "account_logout": "leaving changes nothing on the box",
    "admin:logout": "leaving changes nothing on the box",
    "setup": "a box without an administrator has nobody who could release the stop",
    "set_language": "the language is the reader's own",
    "task-validate": "reads a text and stores nothing",
    "api-1:validate": "reads a text and stores nothing",
    "policy-validate": "reads a text and stores nothing",
    "api-1:check_policy": "reads a text and stores nothing",
    "doctor-look": "looks at the box and keeps what it found, which nothing is done by",
    "api-1:look": "looks at the box and keeps what it found, which nothing is done by",
    "audit-verify": "reads the record and stores nothing",
    "alert-rules-validate": "reads a text and stores nothing",
    "api-1:check_rules": "reads a text and stores nothing",
    "run-evidence": "reads what there is; that somebody took it is put on record",
    "api-1:run_evidence": "reads what there is; that somebody took it is put on record",
    "chat-write": "the message is only recorded; status and stop must be answered, run is refused by its service",
    "hook": "the occurrence is recorded and its run waits, as at every level: nothing that came is lost",
    "anything-else": "a platform's message goes to the inbox and waits: nothing that came is lost",
}
"""Requests that go through although their method is unsafe, by the name of their address, and why."""


class ReadOnlyMiddleware:
    """Refuses every unsafe method with 423, except for the addresses in ``EXEMPT``."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if request.method in SAFE_METHODS:
            return None
        match = request.resolver_match
        if match is not None and match.view_name in EXEMPT:
            return None
        stop = current()
        if not stop.at_least(Level.READ_ONLY):
            return None
        if request.path.startswith("/api/"):
            error = refusal(stop)
            body = {"code": error.code, "message": error.message, "hint": error.hint or ""}
            return JsonResponse(body, status=LOCKED)
        return render(request, "423.html", {"stop": stop}, status=LOCKED)
