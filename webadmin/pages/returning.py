"""Where a form leads when it is done: to the page that it stood on."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme


def back_or(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """To the page that the form names, where that is one of ours; else to the run."""
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back) if safe else redirect("run", run_id=run_id)
