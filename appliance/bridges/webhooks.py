"""Platforms that call us: the web process answers as soon as their events are committed."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from appliance.bridges.inbox import receive_now
from appliance.bridges.models import Platform
from appliance.bridges.ports import WebhookRefused, WebhookRequest
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import mark

LARGEST = 1_000_000


def is_webhook(path: str) -> bool:
    """Whether some enabled platform's webhook is served under ``path``."""
    return Platform.objects.filter(webhook_path=path, enabled=True).exists()


def receive_webhook(path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> int:
    """Take a platform's request on its configured path; gives the HTTP status to answer with.

    200 is given after the events are in the durable inbox. Who cannot prove to be the platform gets 403 and
    leaves no trace; a path of nobody gives 404.
    """
    platform = Platform.objects.filter(webhook_path=path, enabled=True).first()
    factory = bridges().get(platform.kind) if platform else None
    if platform is None or factory is None or factory.webhook is None:
        return 404
    if len(body) > LARGEST:
        return 413
    secret = mark(f"webhook/{platform.name}")
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        events = factory.webhook(WebhookRequest(lowered, body, secret))
    except WebhookRefused as refused:
        return refused.status
    with transaction.atomic():
        receive_now(platform.name, events, now)
    return 200
