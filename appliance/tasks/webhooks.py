"""Who may call a webhook: bearer token, basic password, HMAC of the body, or HMAC with time stamp and nonce."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from appliance.lib.errors import MillwrightError
from appliance.tasks.definition.triggers import WebhookSpec
from appliance.tasks.definition.vocabulary import WebhookAuth

LARGEST_BODY = 1024 * 1024


class WebhookRefused(MillwrightError):
    """The caller did not prove who it is. The answer to it says no more than that."""

    code = "webhook.refused"


class NoSuchWebhook(WebhookRefused):
    """Nobody listens on the name that the caller chose."""

    code = "webhook.unknown"


def verify(spec: WebhookSpec, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Check one request; gives what makes it unique (empty where nothing does). Raises WebhookRefused.

    ``headers`` must look up without regard to case. Every comparison takes constant time.
    """
    if not secret:
        raise WebhookRefused("the webhook has an empty secret")
    check = {
        WebhookAuth.BEARER: _bearer,
        WebhookAuth.BASIC: _basic,
        WebhookAuth.HMAC: _hmac,
        WebhookAuth.HMAC_TIMESTAMP: _hmac_timestamp,
    }[spec.auth]
    unique = check(spec, secret, headers, body, now)
    return unique or (headers.get(spec.dedupe, "")[:200] if spec.dedupe else "")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _bearer(spec: WebhookSpec, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    scheme, _, token = headers.get(spec.header or "Authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else (scheme if spec.header and not token else "")
    if not _same(given, secret):
        raise WebhookRefused("the bearer token is not the one of this webhook")
    return ""


def _basic(spec: WebhookSpec, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        decoded = ""
    password = decoded if ":" in secret else decoded.partition(":")[2]
    if scheme.lower() != "basic" or not _same(password, secret):
        raise WebhookRefused("the user name or password is not the one of this webhook")
    return ""


def _digest(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _hmac(spec: WebhookSpec, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """As GitHub signs: ``X-Hub-Signature-256: sha256=<hex of HMAC-SHA256 of the body>``."""
    given = headers.get(spec.header or "X-Hub-Signature-256", "").removeprefix("sha256=").lower()
    if not _same(given, _digest(secret, body)):
        raise WebhookRefused("the signature does not fit the body")
    return ""


def _hmac_timestamp(
    spec: WebhookSpec, secret: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> str:
    """``X-Millwright-Signature`` is the hex HMAC-SHA256 of ``timestamp.nonce.body``; each nonce counts once."""
    stamp = headers.get("X-Millwright-Timestamp", "")
    nonce = headers.get("X-Millwright-Nonce", "")
    given = headers.get(spec.header or "X-Millwright-Signature", "").removeprefix("sha256=").lower()
    if not re.fullmatch(r"\d{1,12}", stamp) or not re.fullmatch(r"[A-Za-z0-9._~-]{8,128}", nonce):
        raise WebhookRefused(
            "X-Millwright-Timestamp (seconds) and X-Millwright-Nonce (8 to 128 characters) are needed"
        )
    if not _same(given, _digest(secret, f"{stamp}.{nonce}.".encode() + body)):
        raise WebhookRefused("the signature does not fit time stamp, nonce and body")
    if abs(timedelta(seconds=now.timestamp() - int(stamp))) > spec.tolerance:
        raise WebhookRefused("the time stamp is too old or too far ahead")
    return f"nonce:{nonce}"
