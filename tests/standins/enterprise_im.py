"""A stand-in of Feishu / Lark: the open API, the long connection and the platform's calls. It checks what it is sent.

Shapes, limits and codes: open.feishu.cn, server API, "im-v1/message/create", "…/update", "…/patch",
"im-v1/image/create", "im-v1/file/create", "bot-v3/obtain-bot-info", "tenant_access_token_internal",
"generic-error-code", "frequency-control", "events/receive", "card-callback-communication",
"encrypt-key-encryption-configuration-case"; the long connection: github.com/larksuite/oapi-sdk-go, ws/client.go and
ws/pbbp2.pb.go. That a repeated ``uuid`` is answered with the first message's identifier is what the platform's users
report; its page says only that no second message is sent.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.sync.server import ServerConnection

from appliance.bridges.enterprise_im.frames import CONTROL, DATA, Frame, decode, encode
from tests.standins.enterprise_im_shapes import (
    APP_ID,
    CHAT,
    Refusal,
    message_event,
    press_event,
    read_message,
)
from tests.standins.server import Asked, Standin, Told

SECRET = "dskLLdkasdjlasdKK-app-secret"
TICKET = "8f3a-ticket-of-the-connection"
BOT = "ou_e6e14f667cfe239d7b129b521dce0569"
TOKEN_LIFE = 7200
FILE_TYPES = ("opus", "mp4", "pdf", "doc", "xls", "ppt", "stream")
RECEIVERS = {"open_id": "ou_", "union_id": "on_", "chat_id": "oc_"}


@dataclass
class Waiting:
    """An event that is not acknowledged yet."""

    payload: dict[str, Any]
    name: str
    parts: int = 1
    kind: str = "event"
    pushed_on: list[int] = field(default_factory=list)
    pushed_at: float = 0.0


class FeishuStandin(Standin):
    """``sent`` has every message as it is now; ``alive`` what in one of them would have done something."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = SECRET
        self.tokens: dict[str, float] = {}
        self.lifetime = TOKEN_LIFE
        self.sent: list[dict[str, Any]] = []
        self.alive: list[str] = []
        self.files: list[tuple[str, bytes]] = []
        self.file_types: list[str] = []
        self.chats = {CHAT, "oc_group", "ou_anna"}
        self.wrong_pictures = False
        self.activate_status = 2
        self.waiting: list[Waiting] = []
        self.acknowledged: list[str] = []
        self.answers: list[Frame] = []
        self.pings: list[Frame] = []
        self.repeat_after = 15.0
        self.ping_interval = 120
        self.raw: list[bytes] = []
        self._by_uuid: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._connections = 0

    @property
    def texts(self) -> list[str]:
        return [one["shown"] for one in self.sent if one["shown"] is not None]

    def issue(self) -> str:
        token = f"t-caecc734c2e3328a62489fe0648c4b98779515d{len(self.tokens)}"
        self.tokens[token] = time.monotonic() + self.lifetime
        return token

    # --- HTTP ---------------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Told:
        try:
            return Told(200, self._answer(asked))
        except Refusal as refusal:
            return Told(refusal.status, {"code": refusal.code, "msg": refusal.words})

    def _answer(self, asked: Asked) -> dict[str, Any]:
        path = asked.path
        if (asked.method, path) == ("POST", "/open-apis/auth/v3/tenant_access_token/internal"):
            return self._token(asked)
        if (asked.method, path) == ("POST", "/callback/ws/endpoint"):
            return self._endpoint(asked)
        self._authorized(asked)
        match asked.method, path:
            case "GET", "/open-apis/bot/v3/info":
                bot = {"activate_status": self.activate_status, "app_name": "Mill", "open_id": BOT}
                return {"code": 0, "msg": "ok", "bot": bot}
            case "POST", "/open-apis/im/v1/messages":
                return self._create(asked)
            case "POST", "/open-apis/im/v1/images":
                return self._upload(asked, "image", {"image_type": "message"}, 10_000_000)
            case "POST", "/open-apis/im/v1/files":
                return self._upload(asked, "file", {}, 30_000_000)
            case "PUT" | "PATCH" as method, _ if path.startswith("/open-apis/im/v1/messages/"):
                return self._change(
                    asked, path.rpartition("/")[2], "text" if method == "PUT" else "interactive"
                )
        raise Refusal(404, 99991201, "resource not find")

    def _token(self, asked: Asked) -> dict[str, Any]:
        if asked.json != {"app_id": APP_ID, "app_secret": self.secret}:
            raise Refusal(200, 10014, "app secret invalid")
        for token, until in self.tokens.items():
            left = until - time.monotonic()
            if left >= 1800:
                return {"code": 0, "msg": "ok", "tenant_access_token": token, "expire": int(left)}
        return {"code": 0, "msg": "ok", "tenant_access_token": self.issue(), "expire": self.lifetime}

    def _authorized(self, asked: Asked) -> None:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token.startswith("t-"):
            raise Refusal(400, 99991661, "Missing access token for authorization")
        if self.tokens.get(token, 0) <= time.monotonic():
            raise Refusal(400, 99991663, f"Invalid access token for authorization: {token}")

    def _create(self, asked: Asked) -> dict[str, Any]:
        told, kind = asked.json, asked.query.get("receive_id_type", "")
        if told.keys() - {"receive_id", "msg_type", "content", "uuid"}:
            raise Refusal(400, 230001, "invalid request parameter, ext=unknown field")
        uuid = told.get("uuid", "")
        if kind not in (*RECEIVERS, "user_id", "email") or len(uuid) > 50:
            raise Refusal(400, 99992402, "field validation failed")
        if not told["receive_id"].startswith(RECEIVERS.get(kind, "")):
            raise Refusal(400, 230034, "The receive_id is invalid.")
        if told["receive_id"] not in self.chats:
            raise Refusal(400, 230002, "The bot can not be outside the group.")
        message = read_message(told["msg_type"], told["content"], len(asked.body), self._keys)
        with self.changed:
            if uuid in self._by_uuid:
                return {"code": 0, "msg": "success", "data": {"message_id": self._by_uuid[uuid]}}
            number = f"om_{len(self.sent) + 1:032x}"
            if uuid:
                self._by_uuid[uuid] = number
            self.sent.append({"id": number, "to": told["receive_id"], "uuid": uuid, **message})
            self.alive += message["alive"]
            self.changed.notify_all()
        return {"code": 0, "msg": "success", "data": {"message_id": number, "chat_id": CHAT}}

    def _change(self, asked: Asked, number: str, wanted: str) -> dict[str, Any]:
        told = asked.json
        kind = told.get("msg_type", "") if wanted == "text" else "interactive"
        found = [one for one in self.sent if one["id"] == number]
        if not found:
            raise Refusal(400, 99992354, "these ids not existed")
        if kind != wanted or found[0]["kind"] != wanted:
            raise Refusal(400, 230054, "This operation is not supported for this message type.")
        if wanted == "interactive" and not found[0]["card"]["config"].get("update_multi"):
            raise Refusal(400, 230001, "update_multi")
        with self.changed:
            found[0].update(read_message(wanted, told["content"], len(asked.body), self._keys))
            self.alive += found[0]["alive"]
            self.changed.notify_all()
        return {"code": 0, "msg": "success", "data": {}}

    def _upload(self, asked: Asked, name: str, wanted: Mapping[str, str], largest: int) -> dict[str, Any]:
        parts = asked.parts
        given = {key: value.decode() for key, (file, value) in parts.items() if key != name}
        file_name, content = parts.get(name, ("", b""))
        if not content:
            raise Refusal(400, 234010, "File's size can't be 0.")
        if len(content) > largest:
            raise Refusal(400, 234006, "The file size exceed the max value.")
        if name == "image":
            if given != wanted:
                raise Refusal(400, 234001, "Invalid request param.")
            if self.wrong_pictures or not content.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF")):
                raise Refusal(400, 234011, "Can't regonnize the image format.")
        elif given.get("file_type") not in FILE_TYPES or not given.get("file_name"):
            raise Refusal(400, 234001, "Invalid request param.")
        self.file_types.append(given.get("file_type", "image"))
        self.files.append((given.get("file_name", file_name), content))
        key = f"{name}_v2_{len(self.files)}"
        self._keys[key] = name
        return {"code": 0, "msg": "success", "data": {f"{name}_key": key}}

    # --- the long connection ------------------------------------------------------------------------

    def _endpoint(self, asked: Asked) -> dict[str, Any]:
        if asked.json != {"AppID": APP_ID, "AppSecret": self.secret}:
            return {"code": 10014, "msg": "app secret invalid"}
        address = f"{self.socket_root}/ws/v2?device_id=77&service_id=33554678&access_key={TICKET}&ticket=42"
        return {
            "code": 0,
            "msg": "ok",
            "data": {"URL": address, "ClientConfig": {"PingInterval": self.ping_interval}},
        }

    def attend(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        query = dict(parse_qsl(urlsplit(connection.request.path).query))
        if query.get("access_key") != TICKET:
            return
        self._connections += 1
        mine = self._connections
        while True:
            while self.raw:
                connection.send(self.raw.pop(0))
            for one in list(self.waiting):
                late = time.monotonic() - one.pushed_at > self.repeat_after
                if mine not in one.pushed_on or late:
                    self._push(connection, one, mine)
            try:
                self._hear(connection, connection.recv(timeout=0.02))
            except TimeoutError:
                continue

    def _push(self, connection: ServerConnection, one: Waiting, mine: int) -> None:
        data = json.dumps(one.payload, ensure_ascii=False).encode()
        size = -(-len(data) // one.parts)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        # The last one first: their order is not promised.
        for index, piece in reversed(list(enumerate(pieces))):
            headers = (
                *(("type", one.kind), ("message_id", one.name), ("trace_id", "tr")),
                *(("sum", str(len(pieces))), ("seq", str(index))),
            )
            connection.send(encode(Frame(7, 9, 33554678, DATA, headers, payload=piece, log_id_new="l")))
        one.pushed_on.append(mine)
        one.pushed_at = time.monotonic()

    def _hear(self, connection: ServerConnection, message: str | bytes) -> None:
        assert isinstance(message, bytes), "frames are binary"
        frame = decode(message)
        with self.changed:
            if frame.method == CONTROL:
                assert (frame.header("type"), frame.service) == ("ping", 33554678)
                self.pings.append(frame)
                wishes = json.dumps({"PingInterval": self.ping_interval}).encode()
                pong = Frame(0, 0, frame.service, CONTROL, (("type", "pong"),), payload=wishes)
                connection.send(encode(pong))
            else:
                assert (frame.seq_id, frame.log_id, frame.log_id_new) == (7, 9, "l"), (
                    "the same frame is answered"
                )
                assert frame.header("biz_rt").isdecimal()
                self.answers.append(frame)
                if json.loads(frame.payload)["code"] == 200:
                    self.waiting = [one for one in self.waiting if one.name != frame.header("message_id")]
                    self.acknowledged.append(frame.header("message_id"))
            self.changed.notify_all()

    # --- the person ---------------------------------------------------------------------------------

    def push(self, payload: dict[str, Any], *, parts: int = 1, kind: str = "event") -> str:
        """Deliver an event by the long connection until it is acknowledged; gives the frame's ``message_id``."""
        name = f"frame-{len(self.acknowledged) + len(self.waiting)}"
        with self.changed:
            self.waiting.append(Waiting(payload, name, parts, kind))
        return name

    def say(self, text: str, *, parts: int = 1, **more: Any) -> str:
        return self.push(message_event(text, **more), parts=parts)

    def press(self, data: str, **more: Any) -> str:
        return self.push(press_event(data, **more))
