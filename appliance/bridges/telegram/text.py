"""MarkdownV2 as the Bot API defines it (core.telegram.org/bots/api#markdownv2-style)."""

import re

_SPECIAL = re.compile(r"([_*\[\]()~`>#+\-=|{}.!\\])")


def escape(text: str) -> str:
    """Text in which no character has a meaning any more."""
    return _SPECIAL.sub(r"\\\1", text)


def bold(text: str) -> str:
    return f"*{escape(text)}*"
