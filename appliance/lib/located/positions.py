"""From a place in a value to a line and column in the file, through YAML's quoting and folding."""

from appliance.lib.located.problems import Path, part_at
from appliance.lib.located.yaml_reader import Document, Place

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\", "/": "/", " ": " ", "e": "\x1b"}
_BLANK = " \t\r\n"


def locate(text: str, document: Document, path: Path, *, at_key: bool, offset: int | None) -> tuple[int, int]:
    """Line and column, from 1, of what is at ``path``; the nearest part above it that the file has.

    With ``offset``, of that character of the text at ``path``. Where escapes in a quoted text hide which
    character that is, the start of the text.
    """
    if at_key and path in document.keys:
        place = document.keys[path]
        return place.line + 1, place.column + 1
    shown = path
    while shown and shown not in document.values:
        shown = shown[:-1]
    found = document.values.get(shown)
    if found is None:
        return 1, 1
    if offset is not None and shown == path:
        value = part_at(document.value, path)
        index = _index_in_text(text, found, value, offset) if isinstance(value, str) else None
        if index is not None:
            return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1
    return found.line + 1, found.column + 1


def _index_in_text(text: str, place: Place, value: str, offset: int) -> int | None:
    """Where character ``offset`` of a scalar stands in the file, by reading both side by side."""
    at, end = place.start, place.end
    if place.style in ("|", ">"):
        at = text.find("\n", at, end) + 1
    elif place.style:
        at += 1
    for index, char in enumerate(value[: offset + 1]):
        width = _width(text, at, place.style)
        if char in _BLANK and (at >= end or text[at] not in _BLANK) and width == 1:
            continue  # a blank that folding made
        if char not in _BLANK:
            while at < end and text[at] in _BLANK:
                at += 1
            width = _width(text, at, place.style)
        if at >= end or (_read(text, at, width) != char and not (char in _BLANK and text[at] in _BLANK)):
            return None
        if index == offset:
            return at
        at += width
    return None


def _width(text: str, at: int, style: str) -> int:
    """How many characters of the file one character of the value takes."""
    two = text[at : at + 2]
    return 2 if (style == "'" and two == "''") or (style == '"' and two[:1] == "\\") else 1


def _read(text: str, at: int, width: int) -> str | None:
    char = text[at + width - 1 : at + width]
    return _ESCAPES.get(char) if width == 2 and text[at] == "\\" else char
