"""The arguments of a call as people read them: `topic: plant/lamp, payload: off`. Pure."""

import json
import re
from collections.abc import Iterator, Mapping

from appliance.lib import unseen
from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue

_BARE = re.compile(r"[\w/.+#-]+")
_FIRST = ("server", "tool", "task", "platform", "device", "topic", "method", "url", "database", "container")
"""What a call is about comes before what it does there."""
_WHAT = ("payload", "command", "query", "message", "value")


def spelled(values: JsonMapping) -> str:
    """A text that could pass for more than one value stands in quotes, as in JSON: so does what looks like a number.

    The same for the same values, in whatever order they come. A character that shows nothing, or turns others round,
    stands there by its number.
    """
    return unseen.all_seen(", ".join(_pairs(values)), lambda one: json.dumps(one)[1:-1])


def spelled_call(call: Mapping[str, JsonValue]) -> str:
    """A call of a list that the box has read back: its tool, and what it was given."""
    given = spelled(whole(call))
    return f"{call.get('tool', '')} ({given})" if given else str(call.get("tool", ""))


def whole(call: Mapping[str, JsonValue]) -> JsonObject:
    """What such a call was given: by its author, and by the model."""
    fixed, given = call.get("fixed"), call.get("arguments")
    return {
        **(fixed if isinstance(fixed, dict) else {}),
        **(given if isinstance(given, dict) else {}),
    }


def telling(fixed: JsonMapping) -> JsonObject:
    """Of what an author has fixed that which says what a call does, and where. The rest may be long, or for no chat:
    so may what stands behind the path of an address."""
    found: JsonObject = {name: fixed[name] for name in (*_FIRST, *_WHAT) if fixed.get(name) not in (None, "")}
    if isinstance(url := found.get("url"), str):
        found["url"] = url.partition("?")[0]
    return found


def short(tool: str, arguments: JsonMapping, most: int) -> str:
    """A call in one line of so many characters."""
    text = " ".join(spelled_call({"tool": tool, "arguments": dict(arguments)}).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _pairs(values: JsonMapping) -> Iterator[str]:
    for name in sorted(values, key=_place):
        yield f"{_text(name)}: {_value(values[name])}"


def _place(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _value(value: JsonValue) -> str:
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _text(text: str) -> str:
    return text if _BARE.fullmatch(text) and not _is_json(text) else json.dumps(text, ensure_ascii=False)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
