"""Platforms that call the box, on whatever path their configuration names."""

from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt

from appliance.bridges.webhooks import LARGEST, is_webhook, receive_webhook
from webadmin.api.schemas import ErrorOut


@csrf_exempt
def anything_else(request: HttpRequest, path: str) -> HttpResponse:
    """The last route: a platform's webhook, an address that lacks its slash, or nothing."""
    if request.method in ("GET", "POST") and is_webhook(request.path):
        return _from_platform(request)
    if path.startswith("api/"):
        # A program cannot read a page.
        said = ErrorOut(
            code="api.not_found",
            message=f"there is nothing at /{path}",
            hint="/api/v1/docs lists every address",
        )
        return JsonResponse(said.model_dump(), status=404)
    if request.method == "POST":
        return HttpResponse(status=404)
    if request.method in ("GET", "HEAD") and not path.endswith("/"):
        # Django adds a slash only where nothing matches; this route matches everything.
        try:
            found = resolve(f"/{path}/")
        except Resolver404:
            found = None
        if found is not None and found.func is not anything_else:
            return HttpResponseRedirect(f"/{path}/")
    raise Http404


def _from_platform(request: HttpRequest) -> HttpResponse:
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > LARGEST:
        return HttpResponse(status=413)
    reply = receive_webhook(
        str(request.method),
        request.path,
        request.headers,
        request.body,
        datetime.now(UTC),
        query=request.GET.dict(),
    )
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)
