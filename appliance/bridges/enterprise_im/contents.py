"""What goes into a message: a plain text where nothing in it can come alive, a card of plain text otherwise.

Feishu's text messages have a markup that cannot be escaped: ``<at user_id="all">``, ``**bold**``, ``<i>``,
``[words](link)`` (open.feishu.cn: structure of message contents). The plain_text of a card has none, but shows
``:OK:`` as a picture; an invisible character keeps it apart.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.bridges.enterprise_im.events import DATA_KEY
from appliance.bridges.messages import Button
from appliance.bridges.presenting import Part
from appliance.lib.jsontypes import JsonObject, JsonValue

LARGEST_CARD = 30_000
"""Bytes of the whole request."""
LARGEST_TEXT = 150_000
_MARKUP = re.compile(r"[<\[*&~`]")
_EMOJI = re.compile(r":(?=[A-Za-z][A-Za-z0-9_]*:)")
_APART = "\u2060"


@dataclass(frozen=True, slots=True)
class Content:
    """``kind`` is the platform's ``msg_type``; ``body`` the JSON text that goes under ``content``."""

    kind: str
    body: str

    @property
    def fits(self) -> bool:
        limit = LARGEST_TEXT if self.kind == "text" else LARGEST_CARD
        return len(_dumped({"content": self.body}).encode()) + 300 <= limit


def content_of(part: Part) -> Content:
    """A part that has no attachment."""
    if part.buttons or part.title or _MARKUP.search(part.text):
        return Content("interactive", _dumped(_card(part)))
    return Content("text", _dumped({"text": part.text}))


def _card(part: Part) -> JsonObject:
    """Structure 1.0, which every client shows. update_multi: one that may be edited."""
    elements: list[JsonValue] = [{"tag": "div", "text": _plain(part.text)}]
    if part.buttons:
        elements.append({"tag": "action", "actions": _buttons(part.buttons)})
    card: JsonObject = {"config": {"wide_screen_mode": True, "update_multi": True}, "elements": elements}
    if part.title:
        card["header"] = {"title": _plain(part.title)}
    return card


def _buttons(buttons: Sequence[Button]) -> list[JsonValue]:
    return [
        {"tag": "button", "type": "default", "text": _plain(one.label), "value": {DATA_KEY: one.data}}
        for one in buttons
    ]


def _plain(text: str) -> JsonObject:
    return {"tag": "plain_text", "content": _EMOJI.sub(f":{_APART}", text)}


def _dumped(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
