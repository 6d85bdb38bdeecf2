"""What Slack tells an app: events, presses, and the signed calls that carry them (docs.slack.dev/reference/events,
reference/interaction-payloads, authentication/verifying-requests-from-slack)."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
TEAM = "T061EG9R6"
DIRECT = "D024BE91L"


def event(number: int, text: str, user: str, channel: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """``message.im`` in a private chat, ``app_mention`` elsewhere."""
    private = channel.startswith("D")
    inner = {
        "type": "message" if private else "app_mention",
        "channel": channel,
        "user": user,
        "text": text if private else f"<@UBOT> {text}",
        "ts": f"1699000001.{number:06}",
        **({"channel_type": "im"} if private else {}),
        **more,
    }
    outer = {"type": "event_callback", "team_id": TEAM, "api_app_id": "A111", "event_time": 1699000001}
    return {**outer, "token": "legacy", "event_id": f"Ev{number:08}", "event": inner}


def press(number: int, data: str, user: str, channel: str, thread: str | None) -> dict[str, Any]:
    """``block_actions`` of a button in a message."""
    box = {"type": "message", "message_ts": "1699000000.000009", "channel_id": channel}
    action = {
        "type": "button",
        "action_id": "millwright-0",
        "block_id": "b1",
        "value": data,
        "action_ts": f"1699000002.{number:06}",
        "text": {"type": "plain_text", "text": "Approve"},
    }
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "ann", "name": "ann", "team_id": TEAM},
        "team": {"id": TEAM, "domain": "works"},
        "container": {**box, **({"thread_ts": thread} if thread else {})},
        "channel": {"id": channel, "name": "directmessage"},
        "actions": [action],
    }


def signed(
    payload: dict[str, Any], secret: str = SIGNING, at: float | None = None
) -> tuple[dict[str, str], bytes]:
    """Headers and body with which Slack calls: presses as a form, the rest as JSON."""
    if payload.get("type") == "block_actions":
        kind, body = "application/x-www-form-urlencoded", urlencode({"payload": json.dumps(payload)}).encode()
    else:
        kind, body = "application/json", json.dumps(payload).encode()
    stamp = str(int(at if at is not None else time.time()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}
    return {"Content-Type": kind, **headers}, body
