"""DingTalk: the OpenAPI of an app, its long connection, and the webhook of a group's robot, as they are documented.

Sources: open.dingtalk.com/document/orgapp (obtain-the-access-token-of-an-internal-app, create-and-deliver-cards,
chatbots-send-one-on-one-chat-messages-in-batches, the-robot-sends-a-group-message, custom-robot-access,
customize-robot-security-settings, receive-message, event-callback-card); open-dingtalk/developerpedia
docs/learn/stream/protocol.md; the codes of errors as those pages list them.
"""

import base64
import hashlib
import json
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.sync.server import ServerConnection

from tests.standins.dingtalk_robot import GroupRobot
from tests.standins.dingtalk_shapes import (
    CLIENT_ID,
    CLIENT_SECRET,
    GROUP,
    TEMPLATE,
    TOPICS,
    VARIABLES,
    bot_message,
    card_callback,
    seen,
)
from tests.standins.server import Asked, Standin, Told


class DingTalkStandin(Standin):
    """``sent`` has every message that was taken, ``acks`` every acknowledgement. Times are seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = CLIENT_SECRET
        self.robot = GroupRobot(self._keep)
        self.staff, self.groups, self.robots = {"7", "manager1234"}, {GROUP}, {CLIENT_ID}
        self.token_lasts = 7200
        self.tokens: dict[str, float] = {}
        self.tickets: dict[str, float] = {}
        self.sent: list[dict[str, Any]] = []
        self.acks: list[dict[str, Any]] = []
        self._number = 0
        self._sending = threading.Lock()

    # --- what a test does -------------------------------------------------------------------------

    @property
    def texts(self) -> list[str]:
        return [one["seen"] for one in self.sent]

    def say(self, text: str, **more: Any) -> str:
        """A person writes to the robot; gives the number of the push. DingTalk pushes such a thing once."""
        return self.push("CALLBACK", TOPICS[0], bot_message(text, **more))

    def press(self, data: str, **more: Any) -> str:
        return self.push("CALLBACK", TOPICS[1], card_callback(data, **more))

    def push(self, kind: str, topic: str, data: Any, **headers: str) -> str:
        """Over the newest connection; a text as ``data`` goes as it is."""
        self._number += 1
        number = f"213d841d_{self._number}"
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        shared = {
            "appId": "app",
            "contentType": "application/json",
            "messageId": number,
            "time": "1690362102194",
        }
        frame = {
            "specVersion": "1.0",
            "type": kind,
            "headers": {**shared, "topic": topic, **headers},
            "data": text,
        }
        with self._sending:
            self.open_sockets[-1].send(json.dumps(frame))
        return number

    def acked(self, number: str) -> dict[str, Any] | None:
        return next((one for one in self.acks if one["headers"]["messageId"] == number), None)

    # --- the OpenAPI ------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Told:
        if asked.path == "/robot/send":
            return self.robot.answer(asked)
        if asked.method != "POST":
            return Told(404, _refused("InvalidAction.NotFound", "Specified api is not found"))
        if asked.path == "/v1.0/oauth2/accessToken":
            return self._access_token(asked.json)
        if asked.path == "/v1.0/gateway/connections/open":
            return self._open(asked.json)
        given = asked.headers.get("x-acs-dingtalk-access-token", "")
        if self.tokens.get(given, 0.0) < time.time():
            return Told(400, _refused("InvalidAuthentication", "不合法的access_token"))
        match asked.path:
            case "/v1.0/robot/oToMessages/batchSend":
                return self._to_people(asked.json)
            case "/v1.0/robot/groupMessages/send":
                return self._to_group(asked.json)
            case "/v1.0/card/instances/createAndDeliver":
                return self._card(asked.json)
        return Told(404, _refused("InvalidAction.NotFound", "Specified api is not found"))

    def _access_token(self, told: Any) -> Told:
        if told != {"appKey": CLIENT_ID, "appSecret": self.secret}:
            return Told(400, _refused("invalidClientIdOrSecret", "无效的clientId或者clientSecret"))
        self._number += 1
        token = hashlib.sha256(f"token {self._number}".encode()).hexdigest()[:32]
        self.tokens[token] = time.time() + self.token_lasts
        return Told(200, {"accessToken": token, "expireIn": self.token_lasts})

    def _to_people(self, told: Any) -> Told:
        users = told.get("userIds")
        if not isinstance(users, list) or not 1 <= len(users) <= 20:
            return Told(400, _refused("invalidParameter.userIds.empty", "userIds is empty"))
        wrong = self._message_error(told)
        if wrong:
            return wrong
        unknown = [user for user in users if user not in self.staff]
        if len(unknown) == len(users):
            return Told(400, _refused("staffId.notExisted", "staffId不存在"))
        key = self._take(told, users[0])
        return Told(
            200, {"processQueryKey": key, "invalidStaffIdList": unknown, "flowControlledStaffIdList": []}
        )

    def _to_group(self, told: Any) -> Told:
        wrong = self._message_error(told)
        if wrong:
            return wrong
        if told.get("openConversationId") not in self.groups:
            return Told(400, _refused("invalid.openConversationId", "openConversationId无效"))
        return Told(200, {"processQueryKey": self._take(told, told["openConversationId"])})

    def _message_error(self, told: Any) -> Told | None:
        if told.get("robotCode") not in self.robots:
            return Told(400, _refused("invalidParameter.robotCode.notExsit", "机器人不存在"))
        if told.get("msgKey") != "sampleText":
            return Told(400, _refused("invalidParameter.msgKey.invalid", "msgKey无效"))
        parameters = told.get("msgParam")
        if not isinstance(parameters, str) or not json.loads(parameters).get("content"):
            return Told(400, _refused("invalidParameter.msgParam.invalid", "msgParam无效"))
        if len(parameters.encode()) > 15_000:
            return Told(400, _refused("invalidParameter.msgParam.tooLong", "msgParam过长"))
        return None

    def _take(self, told: Any, to: str) -> str:
        content = json.loads(told["msgParam"])["content"]
        return self._keep({"to": to, "seen": seen(content), "raw": content, "buttons": []})

    def _card(self, told: Any) -> Told:
        space, _, to = told.get("openSpaceId", "").removeprefix("dtv1.card//").partition(".")
        model = {"IM_GROUP": "imGroupOpenDeliverModel", "IM_ROBOT": "imRobotOpenDeliverModel"}.get(space, "")
        if not told.get(model) or told.get("callbackType") != "STREAM" or not told.get("outTrackId"):
            return Told(400, _refused("param.openDeliverModelError", "场域投放模型格式错误"))
        if told.get("cardTemplateId") != TEMPLATE:
            return Told(400, _refused("param.templateNotExist", "模板不存在"))
        variables = told["cardData"]["cardParamMap"]
        if variables.keys() != VARIABLES or not all(isinstance(value, str) for value in variables.values()):
            return Told(400, _refused("param.invalid", "参数不合法"))
        arrived = to in (self.groups if space == "IM_GROUP" else self.staff)
        if arrived:
            pairs = [(variables[f"label{one}"], variables[f"data{one}"]) for one in range(1, 5)]
            text = f"{variables['title']}\n{variables['text']}".removeprefix("\n")
            buttons = [pair for pair in pairs if pair[0]]
            self._keep({"to": to, "seen": seen(text), "raw": text, "buttons": buttons})
        delivered = {
            "spaceType": space,
            "spaceId": to,
            "success": arrived,
            "errorMsg": "" if arrived else "投放失败",
        }
        result = {"outTrackId": told["outTrackId"], "deliverResults": [delivered]}
        return Told(200, {"success": True, "result": result})

    def _keep(self, message: dict[str, Any]) -> str:
        with self.changed:
            key = base64.b64encode(f"message {len(self.sent)}".encode()).decode()
            self.sent.append({**message, "id": key})
            self.changed.notify_all()
        return key

    # --- the long connection ----------------------------------------------------------------------

    def _open(self, told: Any) -> Told:
        if (told.get("clientId"), told.get("clientSecret")) != (CLIENT_ID, self.secret):
            return Told(401, _refused("authFailed", "鉴权失败"))
        wanted = told.get("subscriptions") or [{}]
        if not all(one.get("type") == "CALLBACK" and one.get("topic") in TOPICS for one in wanted):
            return Told(400, _refused("invalidParameter.subscriptions", "订阅信息不合法"))
        self._number += 1
        ticket = f"7724109a+ea43/{self._number}="
        self.tickets[ticket] = time.time() + 90
        return Told(200, {"endpoint": f"{self.socket_root}/connect", "ticket": ticket})

    def attend(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        asked = urlsplit(connection.request.path)
        [ticket] = parse_qs(asked.query).get("ticket", [""])
        if asked.path != "/connect" or self.tickets.pop(ticket, 0.0) < time.time():
            connection.close(4401)
            return
        for raw in connection:
            ack = json.loads(raw)
            assert ack.keys() == {"code", "headers", "message", "data"}, ack
            assert ack["headers"]["contentType"] == "application/json"
            json.loads(ack["data"])
            with self.changed:
                self.acks.append(ack)
                self.changed.notify_all()


def _refused(code: str, message: str) -> dict[str, str]:
    return {"code": code, "requestid": "5373616E-A1FB-750A-A30B-53495AC82560", "message": message}
