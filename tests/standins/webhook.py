"""Somebody's own program at the other end of a generic webhook: it checks signature, time, key and shape."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from tests.standins.server import Asked, Standin, Told

SECRET = "a-long-shared-secret-42"
FIELDS = {
    "type", "key", "conversation", "title", "text", "buttons", "replaces", "run", "maybe_repeated", "file"
}  # fmt: skip


class WebhookStandin(Standin):
    """``sent`` has every message that was taken."""

    def __init__(self, secret: str = SECRET) -> None:
        super().__init__()
        self.secret = secret
        self.sent: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Told:
        if asked.method != "POST" or asked.path != "/in":
            return Told(404, {})
        stamp = asked.headers.get("x-millwright-timestamp", "")
        signed = hmac.new(self.secret.encode(), stamp.encode() + b"." + asked.body, hashlib.sha256)
        if f"v1={signed.hexdigest()}" != asked.headers.get("x-millwright-signature"):
            return Told(401, {"error": "signature"})
        if abs(time.time() - int(stamp)) > 300:
            return Told(401, {"error": "time"})
        told = asked.json
        if told == {"type": "ping"}:
            return Told(200, {})
        if (
            told.keys() - FIELDS
            or not told["conversation"]
            or asked.headers["idempotency-key"] != told["key"]
        ):
            return Told(400, {"error": "shape"})
        with self.changed:
            if told["replaces"]:
                found = [one for one in self.sent if one["id"] == told["replaces"][-1]]
                if not found:
                    return Told(404, {})
                found[0].update(told)
                return Told(200, {"id": found[0]["id"]})
            number = f"m{len(self.sent) + 1}"
            self.sent.append({**told, "id": number})
            self.changed.notify_all()
        return Told(200, {"id": number})

    def signed(self, event: dict[str, Any], at: float | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body with which the program calls the box."""
        body, stamp = json.dumps(event).encode(), str(int(at if at is not None else time.time()))
        digest = hmac.new(self.secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"X-Millwright-Timestamp": stamp, "X-Millwright-Signature": f"v1={digest}"}, body

    @property
    def files(self) -> list[tuple[str, bytes]]:
        given = [one["file"] for one in self.sent if "file" in one]
        return [(one["name"], base64.b64decode(one["content"])) for one in given]
