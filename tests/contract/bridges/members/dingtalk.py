"""DingTalk against its stand-in: an app, and the custom robot of a group."""

from collections.abc import Sequence
from typing import Any

from appliance.bridges.dingtalk.app import DingTalkApp
from appliance.bridges.dingtalk.robot import DingTalkRobot
from appliance.bridges.ports import Bridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.dingtalk import DingTalkStandin
from tests.standins.dingtalk_shapes import (
    CLIENT_ID,
    CLIENT_SECRET,
    ROBOT_SECRET,
    ROBOT_TOKEN,
    TEMPLATE,
    TOPICS,
    bot_message,
    card_callback,
)

from ..family import Remote


class DingTalk(Remote):
    kind = "dingtalk"
    conversation = "7"
    secrets: tuple[str, ...] = (CLIENT_SECRET,)
    patience_exact = False

    def __init__(self) -> None:
        self.standin = DingTalkStandin()
        self.bridge = self.build()

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "dingtalk",
            pool=idle_pool(),
            config={
                "client_id": CLIENT_ID,
                "client_secret": "DING",
                "card_template": TEMPLATE,
                "api_root": root,
                **config,
            },
            secrets={"DING": CLIENT_SECRET, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return DingTalkApp(made, part_pause=0)

    async def seen(self) -> Sequence[str]:
        return self.standin.texts

    def said(self, text: str) -> JsonObject:
        return {"type": "CALLBACK", "topic": TOPICS[0], "data": bot_message(text)}

    def pressed(self, data: str) -> JsonObject:
        return {"type": "CALLBACK", "topic": TOPICS[1], "data": card_callback(data)}

    def ask_for_patience(self, seconds: int) -> None:
        told = {"code": "Forbidden.AccessDenied.QpsLimitForApi", "message": "QPS limit"}
        self.standin.fail("/v1.0/robot/", 403, told)

    def revoke(self) -> None:
        self.standin.secret = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail("/v1.0/robot/", status)

    def buttons(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = self.standin.sent[-1]["buttons"]
        return found


class DingTalkGroupRobot(DingTalk):
    conversation = "group"
    secrets = (ROBOT_TOKEN, ROBOT_SECRET)

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "dingtalk",
            pool=idle_pool(),
            config={"access_token": "TOKEN", "secret": "SIGN", "api_root": root, **config},
            secrets={"TOKEN": ROBOT_TOKEN, "SIGN": ROBOT_SECRET, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return DingTalkRobot(made, spacing=0)

    def ask_for_patience(self, seconds: int) -> None:
        told = {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
        self.standin.fail("/robot/send", 200, told)

    def revoke(self) -> None:
        self.standin.robot.token = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail("/robot/send", status)
