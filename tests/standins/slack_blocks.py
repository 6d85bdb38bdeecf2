"""Block Kit as Slack reads it (docs.slack.dev/reference/block-kit), and what people then see."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TOTAL = 13_200
"""Of all texts of a message: not in the documentation, but in slackapi/bolt-js#2509."""


class Refusal(Exception):
    """An answer with ``ok: false``."""


def no(code: str, more: str = "") -> Refusal:
    return Refusal({"error": code, **({"response_metadata": {"messages": [more]}} if more else {})})


@dataclass
class Seen:
    """``alive``: marks that would be a mention or a link."""

    lines: list[str] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def read_blocks(blocks: Any) -> Seen:
    """Raises Refusal."""
    if not isinstance(blocks, list) or not 1 <= len(blocks) <= 50:
        raise no("invalid_blocks", "blocks")
    seen = Seen()
    for block in blocks:
        for text in _texts(block):
            seen.size += len(text["text"])
            seen.alive += marks_in(text["text"])
            seen.lines.append(_shown(text))
    if seen.size > TOTAL:
        raise no("msg_blocks_too_long")
    return seen


def marks_in(text: str) -> list[str]:
    return re.findall(r"<[^>]*>?", text)


def _texts(block: Any) -> Iterator[dict[str, Any]]:
    match block:
        case {"type": "header", "text": text, **rest} if not rest:
            yield _plain(text, 150)
        case {"type": "section", "text": text, **rest} if not rest:
            yield _plain(text, 3000)
        case {"type": "actions", "elements": list(elements), **rest} if not rest and elements:
            if len(elements) > 25 or len({one.get("action_id") for one in elements}) != len(elements):
                raise no("invalid_blocks", "elements")
            for one in elements:
                _check_button(one)
        case _:
            raise no("invalid_blocks", "block")


def _check_button(given: dict[str, Any]) -> None:
    if given.keys() != {"type", "action_id", "text", "value"} or given["type"] != "button":
        raise no("invalid_blocks", "button")
    if not 1 <= len(given["action_id"]) <= 255 or not 1 <= len(given["value"]) <= 2000:
        raise no("invalid_blocks", "button")
    _plain(given["text"], 75)


def _plain(given: dict[str, Any], limit: int) -> dict[str, Any]:
    if given.keys() - {"type", "text", "emoji"} or given.get("type") != "plain_text":
        raise no("invalid_blocks", "text")
    if not 1 <= len(given["text"]) <= limit:
        raise no("invalid_blocks", f"must be between 1 and {limit} characters")
    return given


def _shown(given: dict[str, Any]) -> str:
    """Three entities are decoded, and codes become emoji unless that is switched off."""
    text = given["text"]
    if given.get("emoji", True):
        text = re.sub(r":[a-z_]+:", "\N{FIRE}", text)
    return str(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
