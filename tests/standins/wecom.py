"""A stand-in of WeCom's server API, of a group's robot, and of the calls that WeCom makes.

It checks what it is sent as developer.work.weixin.qq.com documents it: 91039 (gettoken), 90227 (agent/get), 90236
(message/send), 94888 (update_template_card), 90253 (media/upload), 99110 (webhook/send), 90968 (how callbacks are
signed and hidden), 90239 and 90240 (messages and events), 90313 (error codes). Every answer has status 200.
"""

import base64
import hashlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.standins.server import Asked, Standin, Told
from tests.standins.wecom_calls import AGENT, CORP
from tests.standins.wecom_shapes import Refusal, read_card, read_json, shown

SECRET = "app-secret-u3hVbQpD7cN2"
ROBOT_KEY = "693a91f6-7d2c-4bc4-97a0-0ec2sifa5aaa"
TOKENS = "accesstok"
"""What every token begins with."""
OK = {"errcode": 0, "errmsg": "ok"}


class WecomStandin(Standin):
    """``sent`` has every message of the app and of the robot, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.secret, self.robot_key = SECRET, ROBOT_KEY
        self.sent: list[dict[str, Any]] = []
        self.members: set[str] | None = None
        """Whom the app may see; None: everybody."""
        self.trusted = True
        self.closed = 0
        self.dropped = 0
        self._tokens: dict[str, float] = {}
        self._issued = 0
        self._media: dict[str, tuple[str, str, bytes]] = {}
        self._tasks: set[str] = set()
        self._codes: dict[str, dict[str, Any]] = {}
        self._times: defaultdict[str, list[float]] = defaultdict(list)

    # --- what a test does -------------------------------------------------------------------------

    def end_tokens(self) -> None:
        """All tokens are over before their time."""
        self._tokens = dict.fromkeys(self._tokens, 0.0)

    def code_for(self, task_id: str) -> str:
        """What comes with a press of this card's button: lets it be changed once."""
        [card] = [one for one in self.sent if one.get("task_id") == task_id]
        return self._code(card)

    @property
    def texts(self) -> list[str]:
        """What people see, without files."""
        return [one["shown"] for one in self.sent if "shown" in one]

    @property
    def files(self) -> list[tuple[str, bytes]]:
        return [one["file"] for one in self.sent if "file" in one]

    # --- the API ----------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Told:
        routes: dict[tuple[str, str], Callable[[Asked], dict[str, Any]]] = {
            ("GET", "/cgi-bin/gettoken"): self._gettoken,
            ("GET", "/cgi-bin/agent/get"): self._agent,
            ("POST", "/cgi-bin/message/send"): self._send,
            ("POST", "/cgi-bin/message/update_template_card"): self._update,
            ("POST", "/cgi-bin/media/upload"): self._upload,
            ("POST", "/cgi-bin/webhook/send"): self._robot,
            ("POST", "/cgi-bin/webhook/upload_media"): self._robot_upload,
        }
        route = routes.get((asked.method, asked.path))
        if route is None:
            return Told(404)
        try:
            with self.changed:
                return Told(200, {**OK, **route(asked)})
        except Refusal as refusal:
            hint = f"{refusal.words}, hint: [1655882753557010848204971], from ip: 203.0.113.7, more info at x"
            return Told(200, {"errcode": refusal.code, "errmsg": hint})

    def _gettoken(self, asked: Asked) -> dict[str, Any]:
        if asked.query.get("corpid") != CORP:
            raise Refusal(40013, "invalid corpid")
        if asked.query.get("corpsecret") != self.secret:
            raise Refusal(40001, "invalid credential")
        good = [token for token, until in self._tokens.items() if until > time.time()]
        if not good:
            self._issued += 1
            good = [f"{TOKENS}{self._issued}-5fd1c0"]
            self._tokens[good[0]] = time.time() + 7200
        return {"access_token": good[0], "expires_in": 7200}

    def _check_token(self, asked: Asked) -> None:
        until = self._tokens.get(asked.query.get("access_token", ""))
        if until is None:
            raise Refusal(40014, "invalid access_token")
        if until <= time.time():
            raise Refusal(42001, "access_token expired")
        if not self.trusted:
            raise Refusal(60020, "not allow to access from your ip")

    def _agent(self, asked: Asked) -> dict[str, Any]:
        self._check_token(asked)
        if asked.query.get("agentid") != str(AGENT):
            raise Refusal(40056, "invalid agentid")
        return {"agentid": AGENT, "name": "Mill", "close": self.closed}

    def _send(self, asked: Asked) -> dict[str, Any]:
        self._check_token(asked)
        told = read_json(asked)
        if told.get("agentid") != AGENT:
            raise Refusal(40056, "invalid agentid")
        names = [told.get(name) or "" for name in ("touser", "toparty", "totag")]
        if not any(names):
            raise Refusal(82001, "All touser & toparty & totag invalid")
        users = [one for one in names[0].split("|") if one]
        unknown = [one for one in users if self.members is not None and one not in self.members | {"@all"}]
        if users and unknown == users:
            raise Refusal(81013, "user & party & tag all invalid")
        message = self._content(told, ("text", "image", "file", "template_card"))
        answer: dict[str, Any] = {"msgid": f"Msg{len(self.sent) + 1}"}
        if told["msgtype"] == "template_card":
            self._take_task(message)
            answer["response_code"] = self._code(message)
        if unknown:
            answer["invaliduser"] = "|".join(unknown)
        if self._too_many(users):
            self.dropped += 1  # and nobody is told
        else:
            self.sent.append({"to": next(one for one in names if one), **message})
        return answer

    def _too_many(self, users: list[str]) -> bool:
        """30 a minute to one member."""
        now = time.time()
        for user in users:
            self._times[user] = [at for at in self._times[user] if at > now - 60] + [now]
        return any(len(self._times[user]) > 30 for user in users)

    def _content(self, told: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Any]:
        kind = told.get("msgtype")
        if kind not in kinds:
            raise Refusal(40008, "invalid message type")
        content = told.get(kind)
        if not isinstance(content, dict):
            raise Refusal(40058, f"invalid Request Parameter, {kind} not found")
        if kind == "text":
            text = content.get("content") or ""
            if not text:
                raise Refusal(44004, "empty content")
            # A longer text is cut, without a word.
            text = text.encode()[:2048].decode(errors="ignore")
            return {"shown": shown(text), "raw": text}
        if kind == "template_card":
            return read_card(content)
        media = self._media.get(content.get("media_id", ""))
        if media is None or media[0] != kind:
            raise Refusal(40007, "invalid media_id")
        return {"file": media[1:], "kind": kind}

    def _take_task(self, card: dict[str, Any]) -> None:
        if card["task_id"] in self._tasks:
            raise Refusal(42014, "taskid has existed or empty or exceed max len")
        self._tasks.add(card["task_id"])

    def _code(self, card: dict[str, Any]) -> str:
        code = f"code-{len(self._codes) + 1}"
        self._codes[code] = card
        return code

    def _update(self, asked: Asked) -> dict[str, Any]:
        self._check_token(asked)
        told = read_json(asked)
        if told.get("agentid") != AGENT:
            raise Refusal(40056, "invalid agentid")
        if not (told.get("atall") or told.get("userids") or told.get("partyids") or told.get("tagids")):
            raise Refusal(40058, "invalid Request Parameter, no receivers")
        was = self._codes.pop(told.get("response_code", ""), None)
        if was is None:
            raise Refusal(42041, "invalid response_code")
        card = self._content({"msgtype": "template_card", **told}, ("template_card",))
        if card["task_id"] != was["task_id"]:
            self._take_task(card)
        found = next(one for one in self.sent if one.get("task_id") == was["task_id"])
        found.update(card)
        was.update(card)
        return {}

    def _upload(self, asked: Asked) -> dict[str, Any]:
        self._check_token(asked)
        return self._store(asked, {"image": 10_000_000, "file": 20_000_000})

    def _store(self, asked: Asked, limits: dict[str, int]) -> dict[str, Any]:
        kind = asked.query.get("type", "")
        if kind not in limits:
            raise Refusal(40005, "invalid file type")
        name, content = asked.parts.get("media", ("", b""))
        if not name or not content:
            raise Refusal(44001, "empty media data")
        if not 5 < len(content) <= limits[kind]:
            raise Refusal(40006, "invalid meida size")
        if kind == "image" and not content.startswith((b"\x89PNG", b"\xff\xd8")):
            raise Refusal(40009, "invalid image size")
        media_id = f"media-{len(self._media) + 1}"
        self._media[media_id] = (kind, name, content)
        return {"type": kind, "media_id": media_id, "created_at": "1380000000"}

    # --- a group's robot ----------------------------------------------------------------------------

    def _check_key(self, asked: Asked) -> None:
        if asked.query.get("key") != self.robot_key:
            raise Refusal(93000, "invalid webhook url")

    def _robot(self, asked: Asked) -> dict[str, Any]:
        self._check_key(asked)
        told = read_json(asked)
        if told.get("msgtype") == "image":
            content = base64.b64decode(told["image"]["base64"])
            if hashlib.md5(content).hexdigest() != told["image"]["md5"] or len(content) > 2 * 1024 * 1024:
                raise Refusal(40009, "invalid image size")
            self.sent.append({"file": ("chart.png", content), "kind": "image"})
            return {}
        self.sent.append(self._content(told, ("text", "file")))
        return {}

    def _robot_upload(self, asked: Asked) -> dict[str, Any]:
        self._check_key(asked)
        return self._store(asked, {"file": 20_000_000})
