"""Platforms that call us: the web process answers as soon as their events are committed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from appliance.bridges.inbox import receive_now
from appliance.bridges.models import Platform
from appliance.bridges.ports import WebhookRefused, WebhookRequest
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import Lookup, mark, resolved_now, variable
from appliance.outbox.errors import NotReady

LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class WebhookReply:
    """The HTTP answer for the platform."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


def is_webhook(path: str) -> bool:
    """Whether some enabled platform's webhook is served under ``path``."""
    return Platform.objects.filter(webhook_path=path, enabled=True).exists()


def receive_webhook(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    query: Mapping[str, str] | None = None,
    lookup: Lookup = variable,
) -> WebhookReply:
    """Take a platform's request on its configured path.

    200 is given after the events are in the durable inbox. Who cannot prove to be the platform gets 403 and
    leaves no trace; a path of nobody gives 404, and a platform that lacks a secret 503, so that it tries again.
    """
    platform = Platform.objects.filter(webhook_path=path, enabled=True).first()
    factory = bridges().get(platform.kind) if platform else None
    if platform is None or factory is None or factory.webhook is None:
        return WebhookReply(404)
    if len(body) > LARGEST:
        return WebhookReply(413)
    try:
        config = factory.config.model_validate(platform.config)
        request = WebhookRequest(
            method=method,
            headers={name.lower(): value for name, value in headers.items()},
            query=query or {},
            body=body,
            now=now,
            secret=mark(f"webhook/{platform.name}"),
            config=config,
            secrets=resolved_now(config, lookup),
        )
        answer = factory.webhook(request)
    except NotReady:
        return WebhookReply(503)
    except WebhookRefused as refused:
        return WebhookReply(refused.status)
    if answer.events:
        with transaction.atomic():
            receive_now(platform.name, answer.events, now)
    return WebhookReply(200, answer.body, answer.content_type)
