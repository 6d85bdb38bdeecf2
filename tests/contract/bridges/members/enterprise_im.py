"""Feishu / Lark against its stand-in."""

from collections.abc import Sequence
from typing import Any

from appliance.bridges.enterprise_im.bridge import FeishuBridge
from appliance.bridges.ports import Bridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.enterprise_im import SECRET, FeishuStandin
from tests.standins.enterprise_im_shapes import (
    APP_ID,
    CHAT,
    ENCRYPT_KEY,
    VERIFICATION,
    call_of,
    message_event,
    press_event,
)

from ..family import Call, Remote


class EnterpriseIm(Remote):
    kind = "enterprise_im"
    conversation = CHAT
    secrets = (SECRET, "t-caecc734c2e3328a62489fe0648c4b98779515d", ENCRYPT_KEY)

    def __init__(self) -> None:
        self.standin = FeishuStandin()
        self.bridge = self.build(webhook="https://box.example/api/feishu")

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "enterprise_im",
            pool=idle_pool(),
            config={
                "auth": {"app_id": "APP_ID", "app_secret": "APP_SECRET"},
                "encrypt_key": "ENCRYPT_KEY",
                "verification_token": "VERIFICATION",
                "api_root": root,
                **config,
            },
            secrets={
                "APP_ID": APP_ID,
                "APP_SECRET": SECRET,
                "ENCRYPT_KEY": ENCRYPT_KEY,
                "VERIFICATION": VERIFICATION,
                **({proxy: proxy} if proxy else {}),
            },
            inbox=inbox,
        )
        return FeishuBridge(made, part_pause=0)

    async def seen(self) -> Sequence[str]:
        assert self.standin.alive == [], "nothing in a text does anything"
        return self.standin.texts

    def said(self, text: str) -> JsonObject:
        return message_event(text)

    def pressed(self, data: str) -> JsonObject:
        return press_event(data)

    def ask_for_patience(self, seconds: int) -> None:
        told = {"code": 99991400, "msg": "request trigger frequency limit"}
        self.standin.fail("/im/v1/messages", 429, told, headers={"x-ogw-ratelimit-reset": str(seconds)})

    def revoke(self) -> None:
        self.standin.secret = "another"
        self.standin.tokens.clear()

    def break_down(self, status: int) -> None:
        self.standin.fail("/im/v1/messages", status)

    def buttons(self) -> list[tuple[str, str]]:
        return [(label, value["millwright"]) for label, value in self.standin.sent[-1]["buttons"]]

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files

    def call(self, text: str, *, at: float | None = None, secret: str | None = None) -> Call:
        event = message_event(text, message_id="om_the_same")
        headers, body = call_of(event, key=secret or ENCRYPT_KEY, at=at)
        return Call(headers, body, {})
