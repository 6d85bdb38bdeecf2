"""What a person or a program is told when a page could not be made: 503 while the database is away, else 500."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader

RETRY_AFTER = "5"
_CONNECTION = ("08", "53", "57")
"""Classes of SQLSTATE: connection lost, out of resources, shutting down."""


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: called while the error is being handled."""
    away = is_away(sys.exc_info()[1])
    status = 503 if away else 500
    if request.path.startswith(("/api/", "/hooks/")):
        message = "the database is away" if away else "the box could not answer"
        response: HttpResponse = JsonResponse({"error": message}, status=status)
    else:
        # Without the request: its user and messages would ask the database again.
        page = loader.get_template("away.html" if away else "500.html").render()
        response = HttpResponse(page, status=status)
    if away:
        response["Retry-After"] = RETRY_AFTER
    return response


def is_away(error: BaseException | None) -> bool:
    """Whether the database could not be asked, rather than refused what it was asked."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(_CONNECTION)
