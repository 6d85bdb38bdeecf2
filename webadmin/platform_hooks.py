"""Platforms that call the box, on whatever path their configuration names."""

from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt

from appliance.bridges.webhooks import LARGEST, receive_webhook
from webadmin.api.schemas import ErrorOut


@csrf_exempt
def anything_else(request: HttpRequest, path: str) -> HttpResponse:
    """The last route: a platform's webhook, an address that lacks its slash, or nothing."""
    if path.startswith("api/"):
        # A program cannot read a page.
        said = ErrorOut(
            code="api.not_found",
            message=f"there is nothing at /{path}",
            hint="/api/v1/docs lists every address",
        )
        return JsonResponse(said.model_dump(), status=404)
    if request.method == "POST":
        length = request.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > LARGEST:
            return HttpResponse(status=413)
        status = receive_webhook(request.path, request.headers, request.body, datetime.now(UTC))
        return HttpResponse(status=status)
    if request.method in ("GET", "HEAD") and not path.endswith("/"):
        # Django adds a slash only where nothing matches; this route matches everything.
        try:
            found = resolve(f"/{path}/")
        except Resolver404:
            found = None
        if found is not None and found.func is not anything_else:
            return HttpResponseRedirect(f"/{path}/")
    raise Http404
