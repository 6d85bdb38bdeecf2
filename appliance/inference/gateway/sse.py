"""An engine's server-sent events, passed on with as little work as can be. Pure.

Only an event that may hold the use of tokens, or an error, is read; all others are counted.
"""

import json
import re
from typing import Any

from appliance.lib.jsontypes import JsonObject

LONGEST_EVENT = 1 << 20
_END = re.compile(rb"\r?\n\r?\n")
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d+)\b')
_DONE = b"data: [DONE]"
_ERROR = re.compile(rb'\s*(?:event: ?error|error:|data: ?\{\s*"(?:error"|object": ?"error"))')


class Relay:
    """``feed`` takes what came, cut wherever the network cut it, and gives the whole events of it to pass on.

    ``usage``: the tokens as the engine counts them, once it has said so; ``events``: how many pieces of an answer came,
    about one token each. ``error``: the text of an error event, with which an answer ends. ``done``: its proper end.
    ``keep_usage``: whether the client asked for the event that holds nothing but the use.
    """

    def __init__(self, *, keep_usage: bool) -> None:
        self.events = 0
        self.usage: JsonObject | None = None
        self.error: bytes | None = None
        self.done = False
        self._keep_usage = keep_usage
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Raises ValueError where an event has no end."""
        return b"".join(self.split(data))

    def split(self, data: bytes) -> list[bytes]:
        """As ``feed``, one by one. What comes after the end, or after an error, does not count."""
        data = self._rest + data if self._rest else data
        kept, start = [], 0
        for found in _END.finditer(data):
            event = data[start : found.end()]
            start = found.end()
            if self.done or self.error is not None:
                break
            if self._keeps(event):
                kept.append(event)
        self._rest = data[start:]
        if len(self._rest) > LONGEST_EVENT:
            raise ValueError(f"an event is longer than {LONGEST_EVENT} bytes")
        return kept

    def _keeps(self, event: bytes) -> bool:
        if event.startswith(b":"):
            return True
        if event.startswith((_DONE, b"data:[DONE]")):
            self.done = True
            return True
        if _ERROR.match(event, 0, 80):
            self.error = _payload(event)
            return False
        self.events += 1
        return b'"usage"' not in event or self._read_usage(event)

    def _read_usage(self, event: bytes) -> bool:
        chunk = read(event)
        usage = chunk.get("usage") if chunk else None
        if chunk is None or not isinstance(usage, dict):
            return True
        self.usage = usage
        if chunk.get("choices"):
            return True
        self.events -= 1
        return self._keep_usage


def read(event: bytes) -> dict[str, Any] | None:
    """The chunk that an event holds; None for what is none."""
    try:
        chunk = json.loads(_payload(event))
    except ValueError:
        return None
    return chunk if isinstance(chunk, dict) else None


def _payload(event: bytes) -> bytes:
    """What stands behind ``data:``, of all its lines."""
    lines = [line.strip() for line in event.splitlines()]
    data = [line.partition(b":")[2].strip() for line in lines if line.startswith((b"data:", b"error:"))]
    return b"\n".join(data) or event.strip()


def write(chunk: JsonObject) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients skip, and that keeps what stands between from hanging up."""
    return b": " + " ".join(text.split()).encode() + b"\n\n"


END = b"data: [DONE]\n\n"


class Unbroken:
    """In the place of a ``Relay``, for answers that are no events: all that comes, to its end."""

    events = 0
    error: bytes | None = None
    done = True

    def __init__(self) -> None:
        self.usage: JsonObject | None = None

    def split(self, data: bytes) -> list[bytes]:
        found = _PROMPT_TOKENS.search(data)
        if found:
            self.usage = {"prompt_tokens": int(found[1])}
        return [data]
