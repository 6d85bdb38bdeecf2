"""The webhook of a group's robot: custom-robot-access and customize-robot-security-settings of open.dingtalk.com."""

import base64
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.standins.dingtalk_shapes import ROBOT_SECRET, ROBOT_TOKEN, seen
from tests.standins.server import Asked, Told

_ERRORS = {
    40035: "缺少参数 access_token",
    43002: "需要POST请求",
    300005: "token is not exist",
    310000: "sign not match",
}


class GroupRobot:
    """20 messages in a minute, else it is banned for ten. ``keep`` takes what people see in the group."""

    def __init__(self, keep: Callable[[dict[str, Any]], str]) -> None:
        self.token, self.secret = ROBOT_TOKEN, ROBOT_SECRET
        self.calls: deque[float] = deque()
        self.banned_until = 0.0
        self._keep = keep

    def answer(self, asked: Asked) -> Told:
        """Always status 200: only ``errcode`` says what it was."""
        code = self._code(asked)
        return Told(200, {"errcode": code, "errmsg": "ok" if code == 0 else _ERRORS.get(code, "no")})

    def _code(self, asked: Asked) -> int:
        if asked.method != "POST":
            return 43002
        if not asked.query.get("access_token"):
            return 40035
        if asked.query["access_token"] != self.token:
            return 300005
        now, stamp = time.time(), asked.query.get("timestamp", "")
        self.calls.append(now)
        while self.calls[0] < now - 60:
            self.calls.popleft()
        if len(self.calls) > 20:
            self.banned_until = now + 600
        if now < self.banned_until:
            return 130101
        signed = hmac.new(self.secret.encode(), f"{stamp}\n{self.secret}".encode(), hashlib.sha256)
        right = base64.b64encode(signed.digest()).decode() == asked.query.get("sign")
        if self.secret and (not right or abs(now - int(stamp) / 1000) > 3600):
            return 310000
        if len(asked.body) > 20_000:
            return 460101
        told = asked.json
        if told.get("msgtype") != "text":
            return 400105
        if not told["text"]["content"] or told.get("at", {}).get("isAtAll"):
            return 40035
        text = told["text"]["content"]
        self._keep({"to": "group", "seen": seen(text), "raw": text, "buttons": []})
        return 0
