"""Plain words for services that find a meaning in some of them."""

import re

# Written by a device, these would wake up a whole room. A space of no width keeps them apart, and nobody sees it.
_CALLS = re.compile(r"@(?=(?:everyone|here|room|channel|all)\b)|(?<=<)@", re.IGNORECASE)
_MARKS = re.compile(r"([\\*_~`|>#+\-=\[\](){}.!<:])")
NO_WIDTH = "\u200b"


def quiet(text: str) -> str:
    """The text without the power to call people."""
    return _CALLS.sub(f"@{NO_WIDTH}", text)


def for_discord(text: str) -> str:
    """As Discord shows it unchanged: each of Markdown's characters behind a backslash; so no link or emoji lives."""
    return _MARKS.sub(r"\\\1", quiet(text))
