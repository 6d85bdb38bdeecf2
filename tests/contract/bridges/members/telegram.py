"""Telegram against its stand-in."""

import json
from collections.abc import Sequence
from typing import Any

from appliance.bridges.ports import Bridge
from appliance.bridges.telegram.bridge import TelegramBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import WEBHOOK_SECRET, MemoryInbox, context, idle_pool
from tests.standins.telegram import TOKEN, TelegramStandin

from ..family import Call, Remote

USER: JsonObject = {"id": 7, "is_bot": False, "first_name": "Ann"}


class Telegram(Remote):
    kind = "telegram"
    conversation = "42"
    secrets = (TOKEN, TOKEN.partition(":")[2])
    old_is_refused = False

    def __init__(self) -> None:
        self.standin = TelegramStandin()
        self.bridge = self.build()

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "telegram",
            pool=idle_pool(),
            config={"auth": "BOT_TOKEN", "message_parser": "markdown_v2", **config},
            secrets={"BOT_TOKEN": TOKEN, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
            telegram_api=root,
        )
        return TelegramBridge(made, part_pause=0)

    async def seen(self) -> Sequence[str]:
        return self.standin.texts

    def said(self, text: str) -> JsonObject:
        message: JsonObject = {
            "message_id": 1, "date": 0, "chat": {"id": 42, "type": "private"}, "from": USER, "text": text
        }  # fmt: skip
        return {"update_id": 1, "message": message}

    def pressed(self, data: str) -> JsonObject:
        message: JsonObject = {"message_id": 1, "date": 0, "chat": {"id": 42, "type": "private"}}
        return {"update_id": 2, "callback_query": {"id": "q", "from": USER, "message": message, "data": data}}

    def ask_for_patience(self, seconds: int) -> None:
        self.standin.fail("sendMessage", 429, "Too Many Requests", retry_after=seconds)

    def revoke(self) -> None:
        self.standin.token = "1:other"

    def break_down(self, status: int) -> None:
        self.standin.fail("sendMessage", status)

    def buttons(self) -> list[tuple[str, str]]:
        rows = self.standin.sent[-1]["reply_markup"]["inline_keyboard"]
        return [(button["text"], button["callback_data"]) for row in rows for button in row]

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files

    def call(self, text: str, *, at: float | None = None, secret: str | None = None) -> Call:
        headers = {"x-telegram-bot-api-secret-token": secret or WEBHOOK_SECRET}
        return Call(headers, json.dumps(self.said(text)).encode(), {})
