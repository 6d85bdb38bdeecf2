"""What comes from outside, as a model is given it: between marks, and bounded. Pure.

Words by which chat templates mark who speaks are taken out of every question (``inference.asking.Question``); here
before that, so that nothing becomes a mark by their going.
"""

import re

from appliance.inference.control_tokens import without_control_tokens
from appliance.lib.unseen import without_unseen

HEAD_SHARE = 0.6
_MARKS = re.compile(r"\[(?=\s*(?:end\s+of\s+)?data\b)", re.IGNORECASE)


def bounded(text: str, most: int) -> str:
    """Head and tail of a text that is longer than ``most`` characters, with how much was left out between."""
    if len(text) <= most:
        return text
    head = int(most * HEAD_SHARE)
    left = len(text) - most
    return f"{text[:head]}\n… {left:,} characters left out …\n{text[len(text) - (most - head) :]}"


def marked(text: str, boundary: str, of: str) -> str:
    """The text as data: nobody outside knows the boundary, which is new in each turn, and nothing in it looks like a
    mark."""
    clean = _clean(text.replace(boundary, ""))
    return f"[data {boundary} {of}]\n{clean}\n[end of data {boundary}]"


def said_by_a_model(text: str, most: int) -> str:
    """What a model has said before, told again: it may be a sender's words."""
    return bounded(_clean(text), most)


def _clean(text: str) -> str:
    return _MARKS.sub("(", without_control_tokens(without_unseen(text)))
