"""A robot of a WeCom group against its stand-in."""

from collections.abc import Sequence
from typing import Any

from appliance.bridges.ports import Bridge
from appliance.bridges.wecom_robot.bridge import WecomRobot as RobotBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.wecom import ROBOT_KEY, WecomStandin

from ..family import Remote


class WecomRobot(Remote):
    kind = "wecom_robot"
    conversation = "group"
    secrets = (ROBOT_KEY,)
    patience_exact = False

    def __init__(self) -> None:
        self.standin = WecomStandin()
        self.bridge = self.build()

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "wecom_robot",
            pool=idle_pool(),
            config={"auth": "ROBOT_KEY", "api_root": root, **config},
            secrets={"ROBOT_KEY": ROBOT_KEY, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return RobotBridge(made, part_pause=0)

    async def seen(self) -> Sequence[str]:
        return self.standin.texts

    def said(self, text: str) -> JsonObject:
        raise NotImplementedError("a robot hears nothing")

    def pressed(self, data: str) -> JsonObject:
        raise NotImplementedError("a robot has no buttons")

    def buttons(self) -> list[tuple[str, str]]:
        return []

    def ask_for_patience(self, seconds: int) -> None:
        self.standin.fail("webhook/send", 200, {"errcode": 45009, "errmsg": "api freq out of limit"})

    def revoke(self) -> None:
        self.standin.robot_key = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail("webhook/send", status)

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files
