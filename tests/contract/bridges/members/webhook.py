"""A generic webhook against somebody's own program."""

from collections.abc import Sequence
from typing import Any

from appliance.bridges.ports import Bridge
from appliance.bridges.webhook.bridge import WebhookBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import MemoryInbox, context, idle_pool
from tests.standins.webhook import SECRET, WebhookStandin

from ..family import Call, Remote


class Webhook(Remote):
    kind = "webhook"
    conversation = "line 3"
    secrets = (SECRET,)

    def __init__(self) -> None:
        self.standin = WebhookStandin()
        self.bridge = self.build()

    def build(self, *, inbox: MemoryInbox | None = None, **config: Any) -> Bridge:
        root, proxy = config.pop("root", self.standin.root), config.get("proxy")
        made = context(
            "webhook",
            pool=idle_pool(),
            config={"auth": "HOOK", "url": f"{root}/in", "webhook": "https://box.example/in", **config},
            secrets={"HOOK": SECRET, **({proxy: proxy} if proxy else {})},
            inbox=inbox,
        )
        return WebhookBridge(made)

    async def seen(self) -> Sequence[str]:
        return [f"{one['title']}\n{one['text']}".removeprefix("\n") for one in self.standin.sent]

    def said(self, text: str) -> JsonObject:
        return {
            "id": "e1",
            "conversation": self.conversation,
            "user": {"id": "7", "name": "Ann"},
            "text": text,
        }

    def pressed(self, data: str) -> JsonObject:
        return {"id": "e2", "conversation": self.conversation, "user": {"id": "7"}, "pressed": data}

    def ask_for_patience(self, seconds: int) -> None:
        self.standin.fail("/in", 429, headers={"Retry-After": str(seconds)})

    def revoke(self) -> None:
        self.standin.secret = "another"

    def break_down(self, status: int) -> None:
        self.standin.fail("/in", status)

    def buttons(self) -> list[tuple[str, str]]:
        return [(one["label"], one["data"]) for one in self.standin.sent[-1]["buttons"]]

    def files(self) -> list[tuple[str, bytes]]:
        return self.standin.files

    def call(self, text: str, *, at: float | None = None, secret: str | None = None) -> Call:
        standin = WebhookStandin.__new__(WebhookStandin)
        standin.secret = secret or SECRET
        headers, body = standin.signed(dict(self.said(text)), at)
        return Call(headers, body, {})
