"""Discord's webhooks as apprise calls them. Shapes and codes: https://docs.discord.com/developers/resources/webhook and
``topics/opcodes-and-status-codes`` (10015 unknown webhook, 50006 empty message, 50035 invalid form body)."""

import json
import re
from typing import Any

from tests.standins.server import Asked, Standin, Told

WEBHOOK_ID, TOKEN = "1234567890123456789", "tok-N0b0dyShouldSeeThis_42"
MOST_CHARACTERS = 2000
_MARKDOWN = re.compile(r"(?<!\\)(?:\\\\)*[*_~`|>\[\]]")


def shown(content: str) -> str:
    """What people see of a text: a backslash before a mark is gone, and a mark without one would be formatting."""
    if _MARKDOWN.search(re.sub(r"\\.", "", content)):
        return f"FORMATTED {content}"
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", content).replace("\u200b", "")


class DiscordStandin(Standin):
    """``sent`` has every message that was taken: its raw content and its files."""

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.sent: list[dict[str, Any]] = []

    @property
    def texts(self) -> list[str]:
        return [shown(one["content"]) for one in self.sent if one["content"]]

    @property
    def files(self) -> list[tuple[str, bytes]]:
        return [file for one in self.sent for file in one["files"]]

    def answer(self, asked: Asked) -> Told:
        if asked.path != f"/api/webhooks/{WEBHOOK_ID}/{self.token}":
            return Told(404, {"message": "Unknown Webhook", "code": 10015})
        if asked.method == "GET":
            return Told(200, {"id": WEBHOOK_ID, "type": 1, "name": "Plant", "token": self.token})
        if asked.method != "POST":
            return Told(405, {"message": "405: Method Not Allowed", "code": 0})
        files: list[tuple[str, bytes]] = []
        if asked.headers.get("content-type", "").startswith("multipart/form-data"):
            parts = asked.parts
            told = json.loads(parts["payload_json"][1])
            files = [file for name, file in parts.items() if name.startswith("files[")]
        else:
            told = asked.json
        content = told.get("content") or ""
        if not content and not files:
            return Told(400, {"message": "Cannot send an empty message", "code": 50006})
        if len(content.encode("utf-16-le")) // 2 > MOST_CHARACTERS:
            return Told(400, {"message": "Invalid Form Body", "code": 50035})
        with self.changed:
            self.sent.append({"content": content, "files": files, "told": told})
            self.changed.notify_all()
        return Told(204)
