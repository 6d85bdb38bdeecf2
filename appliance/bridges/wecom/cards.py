"""Cards: the only thing of WeCom's that has buttons, and that can be changed later.

Fields and sizes: developer.work.weixin.qq.com/document/path/90236 (sending), 94888 (changing).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from appliance.bridges.presenting import Part
from appliance.lib.jsontypes import JsonObject, JsonValue

TITLE_LIMIT, TEXT_LIMIT = 36, 160
"""Characters that a card shows whole."""
NOTHING = "—"
"""On the grey button of a card that asks nothing any more; a card cannot be without a button."""


@dataclass(frozen=True, slots=True)
class CardName:
    """What a card is called in receipts. ``code`` lets it be changed once, for 72 hours."""

    message_id: str
    task_id: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.message_id} {self.task_id} {self.code}".strip()

    @classmethod
    def found(cls, names: Sequence[str]) -> "CardName | None":
        """The last card among the parts of a message; a text's name is one word."""
        for name in reversed(names):
            words = name.split(" ")
            if len(words) in (2, 3):
                return cls(*words)
        return None


def with_cards(parts: Iterable[Part]) -> list[Part]:
    """What does not fit above its buttons goes before them as a text; the card then says what it belongs to."""
    found = []
    for part in parts:
        if part.buttons and not fits(part):
            found += [replace(part, buttons=()), Part("", _shortened(_headed(part)[0]), part.buttons)]
        else:
            found.append(part)
    return found


def fits(part: Part) -> bool:
    title, text = _headed(part)
    return part.attachment is None and len(title) <= TITLE_LIMIT and len(text) <= TEXT_LIMIT


def card_of(part: Part, task_id: str) -> JsonObject:
    """``task_id`` may be sent once."""
    title, text = _headed(part)
    buttons: list[JsonValue] = [{"text": one.label, "key": one.data} for one in part.buttons]
    card: JsonObject = {
        "card_type": "button_interaction",
        "main_title": {"title": title},
        "sub_title_text": text,
        "task_id": task_id,
        "button_list": buttons or [{"text": NOTHING, "key": NOTHING}],
    }
    return card if buttons else {**card, "replace_text": NOTHING}


def _headed(part: Part) -> tuple[str, str]:
    """Title and text; a card has always a title, so the first line is one."""
    if part.title:
        return part.title, part.text
    title, _, text = part.text.partition("\n")
    return title, text


def _shortened(title: str) -> str:
    return title if len(title) <= TITLE_LIMIT else f"{title[: TITLE_LIMIT - 1]}…"
