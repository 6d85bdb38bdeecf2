"""What the stand-in of WeCom makes of what it is sent: what it refuses, and what people see of a text or a card."""

import re
from typing import Any

from tests.standins.server import Asked

TASK = re.compile(r"[0-9A-Za-z_@-]{1,128}")
UNSEEN = "\u200b"


class Refusal(Exception):
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def shown(text: str) -> str:
    """What people see: a link is its label, a mention a name, a code in brackets a picture."""
    text = re.sub(r"<a [^>]*>(.*?)</a>", r"(link \1)", text, flags=re.IGNORECASE | re.DOTALL)
    text = re.sub(r"<@([^>\s]+)>", r"(mention \1)", text)
    text = re.sub(r"\[(微笑|强|OK|Smile)\]", r"(picture \1)", text)
    return text.replace(UNSEEN, "")


def read_json(asked: Asked) -> dict[str, Any]:
    try:
        told = asked.json
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Refusal(47001, "data format error")
    return told


def read_card(card: dict[str, Any]) -> dict[str, Any]:
    buttons = card.get("button_list") or []
    title = (card.get("main_title") or {}).get("title") or ""
    text = card.get("sub_title_text") or ""
    if card.get("card_type") != "button_interaction" or not title:
        raise Refusal(40058, "invalid Request Parameter, template_card")
    if not 1 <= len(buttons) <= 6:
        raise Refusal(40016, "invalid button size")
    for button in buttons:
        if not button.get("text") or not 1 <= len(button.get("key", "").encode()) <= 1024:
            raise Refusal(40019, "invalid button key size")
    if not TASK.fullmatch(card.get("task_id") or ""):
        raise Refusal(42014, "taskid has existed or empty or exceed max len")
    if len(title) > 36 or len(text) > 160:
        raise Refusal(45002, "content size out of limit")
    grey = card.get("replace_text")
    return {
        "shown": shown(f"{title}\n{text}" if text else title),
        "buttons": [] if grey else [(button["text"], button["key"]) for button in buttons],
        "grey": grey,
        "task_id": card["task_id"],
    }
