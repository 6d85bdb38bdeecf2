"""Slack calls the box: events as JSON, presses as a form, both signed.

The signature: docs.slack.dev/authentication/verifying-requests-from-slack.
"""

import json
from urllib.parse import parse_qs

from appliance.bridges.ports import WebhookAnswer, WebhookRefused, WebhookRequest
from appliance.bridges.signing import hmac_sha256, is_recent, same
from appliance.bridges.slack.config import SlackConfig
from appliance.bridges.slack.events import is_elsewhere, raw_event
from appliance.lib.jsontypes import JsonObject

TIME_HEADER, SIGNATURE_HEADER = "x-slack-request-timestamp", "x-slack-signature"


def from_webhook(request: WebhookRequest) -> WebhookAnswer:
    """The event in a signed request. A repeat (``X-Slack-Retry-Num``) has the same name. Raises WebhookRefused."""
    config: SlackConfig = request.config
    if request.method != "POST":
        raise WebhookRefused(405)
    secret = request.secrets[config.signing_secret.root].strip() if config.signing_secret else ""
    stamp = request.headers.get(TIME_HEADER, "")
    given = request.headers.get(SIGNATURE_HEADER, "")
    if not secret or not is_recent(stamp, request.now):
        raise WebhookRefused(403)
    if not same(given, signature(secret, stamp, request.body)):
        raise WebhookRefused(403)
    payload = _read(request)
    if payload.get("type") == "url_verification":
        challenge = {"challenge": str(payload.get("challenge"))[:1000]}
        return WebhookAnswer((), json.dumps(challenge).encode(), "application/json")
    if is_elsewhere(payload, config.team):
        raise WebhookRefused(403)
    event = raw_event(payload, config.team)
    return WebhookAnswer([event] if event else ())


def signature(secret: str, stamp: str, body: bytes) -> str:
    """``v0=`` and HMAC-SHA256 over the version, the time and the body as it came."""
    return f"v0={hmac_sha256(secret, b'v0:' + stamp.encode() + b':' + body)}"


def _read(request: WebhookRequest) -> JsonObject:
    try:
        text = request.body.decode()
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            [text] = parse_qs(text, max_num_fields=50)["payload"]
        found = json.loads(text)
    except (ValueError, KeyError, RecursionError) as error:
        raise WebhookRefused(400) from error
    if not isinstance(found, dict):
        raise WebhookRefused(400)
    return found
