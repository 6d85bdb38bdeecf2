"""A text as Block Kit's plain text: no character of it has a meaning (docs.slack.dev/reference/block-kit)."""

from collections.abc import Iterator

from appliance.bridges.capabilities import LengthUnit
from appliance.bridges.messages import Button
from appliance.bridges.presenting import Part
from appliance.bridges.text import measure
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.outbox.errors import DeliveryRefused

HEADER_LIMIT, SECTION_LIMIT, LABEL_LIMIT, VALUE_LIMIT = 150, 3000, 75, 2000
TEXT_LIMIT = 2600
"""Of a message. Slack takes some 13,200 characters of blocks (slackapi/bolt-js#2509), and ``&`` becomes five."""
ACTION = "millwright-"
_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}


def escape(text: str) -> str:
    """The three characters that Slack decodes anywhere; a mention or a link is ``<…>``, so none can come alive."""
    return text.translate(_ENTITIES)


def content_of(part: Part) -> JsonObject:
    """The message's arguments: ``blocks``, and ``text`` for notifications. Raises DeliveryRefused."""
    return {"text": escape(part.whole), "blocks": list(_blocks(part)), "parse": "none", "link_names": False}


def _blocks(part: Part) -> Iterator[JsonValue]:
    if part.title and _size(escape(part.title)) <= HEADER_LIMIT:
        yield {"type": "header", "text": _plain(escape(part.title))}
    elif part.title:
        yield from _sections(part.title)
    yield from _sections(part.text)
    if part.buttons:
        elements: list[JsonValue] = [_button(index, one) for index, one in enumerate(part.buttons)]
        yield {"type": "actions", "elements": elements}


def _sections(text: str) -> Iterator[JsonValue]:
    """One; more for a text that is too long once it is escaped: cut at a line's end, or at a space."""
    rest = text
    while rest:
        cut = _fitting(rest, SECTION_LIMIT)
        places = (rest.rfind(mark, cut // 2, cut + 1) for mark in "\n ")
        end = cut if cut == len(rest) else next((one for one in places if one > 0), cut)
        yield {"type": "section", "text": _plain(escape(rest[:end]))}
        rest = rest[end + 1 :] if rest[end : end + 1] in ("\n", " ") else rest[end:]


def _button(index: int, button: Button) -> JsonValue:
    if not 1 <= len(button.data) <= VALUE_LIMIT:
        raise DeliveryRefused("a button's data has between 1 and 2000 characters")
    label = escape(button.label)
    if _size(label) > LABEL_LIMIT:
        label = escape(button.label[: _fitting(button.label, LABEL_LIMIT - 1)]) + "…"
    return {"type": "button", "action_id": f"{ACTION}{index}", "text": _plain(label), "value": button.data}


def _plain(escaped: str) -> JsonValue:
    # emoji: false, or ``:fire:`` becomes a picture.
    return {"type": "plain_text", "text": escaped, "emoji": False}


def _size(escaped: str) -> int:
    # In UTF-16 units: what Slack calls a character is not said, and this is the most that it can be.
    return measure(escaped, LengthUnit.UTF16)


def _fitting(text: str, limit: int) -> int:
    """How many characters fit once they are escaped."""
    used = 0
    for index, character in enumerate(text):
        used += _size(escape(character))
        if used > limit:
            return index
    return len(text)
