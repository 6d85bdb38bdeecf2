"""Texts for DingTalk. A plain text has no markup there, but its clients draw ``[微笑]`` as a face."""

import re
from dataclasses import replace

from appliance.bridges.messages import ChatMessage
from appliance.lib.plain import plain_text

_FACE = re.compile(r"\[(?=(?:[\u4e00-\u9fff]{1,6}|OK)\])")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
WORD_JOINER = "\u2060"


def inert(text: str) -> str:
    """The text as it is to be seen: no face code comes alive, and no control character takes six bytes of JSON."""
    return _FACE.sub(f"[{WORD_JOINER}", _UNSEEN.sub("", plain_text(text)))


def made_inert(message: ChatMessage) -> ChatMessage:
    """Before it is split, so that the parts have the length that is sent."""
    return replace(message, text=inert(message.text), title=inert(" ".join(message.title.split())))
