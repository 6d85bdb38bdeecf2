"""What an approver is shown of an action: its kind's own words, complete or with a note of what was left out."""

import json

from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonMapping, JsonValue

LONGEST = 4000
"""Characters of one text; what is longer is named by its digest as well."""

_DECLARED = ("network", "programs")
"""Of these an empty list says something: that it needs none, where nothing said means that it was not declared."""


def shown(kind: str, arguments: JsonMapping) -> str:
    """The lines that are stored, shown and put on the audit record: the same for everybody."""
    lines = _shell(arguments) if kind == "shell" else _plain(arguments)
    text = "\n".join(lines)
    if len(text) <= LONGEST:
        return text
    left = len(text) - LONGEST
    return f"{text[:LONGEST]}\n… {left} more characters, SHA-256 of all {sha256_hex(text.encode())}"


def _shell(arguments: JsonMapping) -> list[str]:
    """The script as it is, with the values that it is given beside it, never inside it."""
    command, rest = arguments.get("command"), dict(arguments)
    lines: list[str] = []
    if isinstance(command, dict) and isinstance(command.get("script"), str):
        rest.pop("command")
        lines.append(f"$ {command['script']}")
        given = command.get("arguments")
        for number, value in enumerate(given if isinstance(given, list) else [], 1):
            lines.append(f"${number} = {_value(value)}")
    return [*lines, *_plain(rest)]


def _plain(arguments: JsonMapping) -> list[str]:
    lines = [f"{key}: {_value(value)}" for key, value in arguments.items() if value not in (None, [], {}, "")]
    return lines + [f"{key}: none" for key in _DECLARED if arguments.get(key) == []]


def _value(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
