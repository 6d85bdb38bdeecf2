"""What django-axes answers whoever has guessed too often."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webadmin.login.noted import known_name, note


def locked_out(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """The same page whether or not there is somebody of that name."""
    typed = str((credentials or {}).get("username") or request.POST.get("username", ""))
    note("login.locked", known_name(typed), str(request.META.get("REMOTE_ADDR", "")), {})
    return render(request, "429.html", status=429)
