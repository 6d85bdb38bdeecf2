"""Slack against its stand-in: a thread of a channel."""

from collections.abc import Sequence
from typing import Any

from appliance.bridges.ports import Bridge
from appliance.bridges.slack.bridge import SlackBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.slack import APP, BOT, SlackStandin
from tests.standins.slack_payloads import SIGNING, signed

from ..family import Call, Remote

CHANNEL, THREAD = "C123", "1699000000.000001"


class Slack(Remote):
    kind = "slack"
    conversation = f"{CHANNEL}/{THREAD}"
    secrets = (BOT, APP, SIGNING)

    def __init__(self) -> None:
        self.standin = SlackStandin()
        self.bridge = self.build()

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.api), config.get("proxy")
        keys = {"auth": "BOT", "app_token": "APP", "signing_secret": "SIGN", "api_root": root}
        made = context(
            "slack",
            pool=idle_pool(),
            config={"webhook": "https://box.example/slack", **keys, **config},
            secrets={"BOT": BOT, "APP": APP, "SIGN": SIGNING, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return SlackBridge(made, part_pause=0)

    async def seen(self) -> Sequence[str]:
        return self.standin.texts

    def said(self, text: str) -> JsonObject:
        return self.standin.said(text, "7", CHANNEL, thread_ts=THREAD)

    def pressed(self, data: str) -> JsonObject:
        return {**self.standin.pressed(data, "7", CHANNEL, THREAD)}

    def ask_for_patience(self, seconds: int) -> None:
        told = {"ok": False, "error": "ratelimited"}
        self.standin.fail("chat.postMessage", 429, told, headers={"Retry-After": str(seconds)})

    def revoke(self) -> None:
        self.standin.bot_token = "xoxb-other"

    def break_down(self, status: int) -> None:
        self.standin.fail("chat.postMessage", status)

    def buttons(self) -> list[tuple[str, str]]:
        blocks = self.standin.sent[-1]["blocks"]
        elements = [one for block in blocks for one in block.get("elements", ())]
        return [(one["text"]["text"], one["value"]) for one in elements]

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files

    def call(self, text: str, *, at: float | None = None, secret: str | None = None) -> Call:
        event = {**self.said(text), "event_id": "Ev0PV52K21"}
        headers, body = signed(event, secret or SIGNING, at)
        return Call(headers, body, {})
