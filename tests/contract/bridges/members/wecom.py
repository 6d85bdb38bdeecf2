"""A WeCom app against its stand-in."""

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.bridges.messages import Button
from appliance.bridges.ports import Bridge
from appliance.bridges.wecom.bridge import WecomBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.wecom import SECRET, TOKENS, WecomStandin
from tests.standins.wecom_calls import AES_KEY, AGENT, CORP, TOKEN, WecomCaller

from ..family import Call, Remote

SECRETS = {"WECOM_SECRET": SECRET, "WECOM_TOKEN": TOKEN, "WECOM_KEY": AES_KEY}


def app_config(root: str, **more: Any) -> dict[str, Any]:
    return {
        "corp_id": CORP,
        "agent_id": AGENT,
        "auth": "WECOM_SECRET",
        "token": "WECOM_TOKEN",
        "encoding_aes_key": "WECOM_KEY",
        "webhook": "https://box.example/in",
        "api_root": root,
        **more,
    }


class Wecom(Remote):
    kind = "wecom"
    conversation = "7"
    secrets = (SECRET, TOKENS)
    patience_exact = False
    editable: Mapping[str, Any] = {"buttons": (Button("Seen", "w0rd-0"),)}

    def __init__(self) -> None:
        self.standin = WecomStandin()
        self.bridge = self.build()

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "wecom",
            pool=idle_pool(),
            config=app_config(root, **config),
            secrets={**SECRETS, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return WecomBridge(made, part_pause=0)

    async def seen(self) -> Sequence[str]:
        return self.standin.texts

    def said(self, text: str) -> JsonObject:
        return {
            "ToUserName": CORP, "FromUserName": "7", "CreateTime": "1348831860", "MsgType": "text",
            "Content": text, "MsgId": "1234567890123456", "AgentID": str(AGENT),
        }  # fmt: skip

    def pressed(self, data: str) -> JsonObject:
        return {
            "ToUserName": CORP, "FromUserName": "7", "CreateTime": "1348831860", "MsgType": "event",
            "Event": "template_card_event", "EventKey": data, "TaskId": "t1", "CardType": "button_interaction",
            "ResponseCode": "code", "AgentID": str(AGENT),
        }  # fmt: skip

    def ask_for_patience(self, seconds: int) -> None:
        self.standin.fail(
            "message/send", 200, {"errcode": 45009, "errmsg": "reach max api daily quota limit"}
        )

    def revoke(self) -> None:
        self.standin.secret = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail("message/send", status)

    def buttons(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = self.standin.sent[-1]["buttons"]
        return found

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files

    def call(self, text: str, *, at: float | None = None, secret: str | None = None) -> Call:
        caller = WecomCaller(token=secret or TOKEN)
        query, body = caller.call(caller.message(text), at)
        return Call({}, body, query)
