"""What the rows say was done for an answer, as it is kept beside it and told later. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.lib.jsontypes import JsonMapping, JsonValue

LISTS = ("did", "handed_over", "not_done", "would_have_done")
_WORDS = {
    "did": "done",
    "handed_over": "handed over",
    "not_done": "not done",
    "would_have_done": "only tried out",
}
MOST = 12
LONGEST = 200


def kept_facts(detail: JsonMapping) -> dict[str, JsonValue]:
    """Of an answer's detail what later turns need: each call in a few words."""
    found: dict[str, JsonValue] = {}
    for name in LISTS:
        rows = detail.get(name)
        calls = [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []
        if calls:
            found[name] = [
                {"call": _call(one), "fate": str(one.get("fate", ""))[:20]} for one in calls[:MOST]
            ]
    return found


def facts_in(detail: JsonMapping) -> str:
    """As one line; empty where nothing was called for that changes something."""
    parts = []
    for name in LISTS:
        calls = [str(one["call"]) for one in _rows(detail, name)]
        if calls:
            parts.append(f"{_WORDS[name]}: {'; '.join(calls)}")
    return " | ".join(parts)


def _rows(detail: JsonMapping, name: str) -> Iterator[JsonMapping]:
    rows = detail.get(name)
    for one in rows if isinstance(rows, list) else ():
        if isinstance(one, dict) and "call" in one:
            yield one


def in_words(tool: str, arguments: Mapping[str, Any]) -> str:
    """A call as later turns are told of it."""
    return f"{tool} {json.dumps(arguments, ensure_ascii=False, sort_keys=True)}"[:LONGEST]


def _call(row: JsonMapping) -> str:
    arguments = row.get("arguments")
    return in_words(str(row.get("tool", "")), arguments if isinstance(arguments, dict) else {})
