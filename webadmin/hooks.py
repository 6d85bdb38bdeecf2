"""``/hooks/<name>``: a request starts a task. Answered with 202 once its run is committed (P1)."""

import logging
from datetime import UTC, datetime

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.runs.webhooks import Call, deliver
from appliance.tasks.webhooks import LARGEST_BODY, NoSuchWebhook, WebhookRefused
from webadmin.login.noted import note_webhook

log = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def receive(request: HttpRequest, name: str) -> HttpResponse:
    """Callers prove themselves as the trigger says; whoever cannot learns nothing about which part was wrong."""
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        return JsonResponse({"error": "Content-Length is needed"}, status=411)
    if int(length) > LARGEST_BODY:
        return JsonResponse({"error": f"a body has at most {LARGEST_BODY} bytes"}, status=413)
    try:
        body = request.body
    except RawPostDataException:
        return JsonResponse({"error": "the body could not be read"}, status=400)
    call = Call(name, request.headers, body, datetime.now(UTC))
    try:
        with transaction.atomic():
            answer = deliver(call)
        reach("webhook.before_answer")
    except WebhookRefused as error:
        log.warning("webhook %s refused: %s", name, error.message)
        known = "" if isinstance(error, NoSuchWebhook) else name
        note_webhook(known, str(request.META.get("REMOTE_ADDR", "")), error.message if known else "")
        return JsonResponse({"error": "not found, or not authorised"}, status=401)
    except MillwrightError as error:
        return JsonResponse({"error": error.message}, status=422)
    return JsonResponse(answer.to_json(), status=202 if answer.fired else 200)
