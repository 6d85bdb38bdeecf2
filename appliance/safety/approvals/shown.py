"""What an approver is shown of an action: its kind's own words, complete or with a note of what was left out.

Who chose the values may want something else to be read than what is done. So each line that begins at the margin is
one of ours, every character can be seen, and nothing is pushed out of sight by blanks.
"""

import json
import re

from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonMapping, JsonValue
from appliance.lib.unseen import all_seen

LONGEST = 4000
"""Characters of one text; what is longer is named by its digest as well."""

_DECLARED = ("network", "programs")
"""Of these an empty list says something: that it needs none, where nothing said means that it was not declared."""
_IN_A_VALUE = "    "
_MANY_BLANKS = re.compile(r"[ \t]{17,}")
_MANY_LINES = re.compile(r"(?:[ \t]*\n){4,}")


def shown(kind: str, arguments: JsonMapping) -> str:
    """The lines that are stored, shown and put on the audit record: the same for everybody."""
    lines = _shell(arguments) if kind == "shell" else _plain(arguments)
    text = "\n".join(lines)
    if len(text) <= LONGEST:
        return text
    left = len(text) - LONGEST
    return f"{text[:LONGEST]}\n… {left} more characters, SHA-256 of all {sha256_hex(text.encode())}"


def seen(text: str) -> str:
    """The text with nothing hidden in it: what cannot be seen, or turns the rest round, stands there by its number."""
    text = all_seen(text, _number, but="\n\t")
    text = _MANY_LINES.sub(lambda found: f"\n⟨{found[0].count(chr(10)) - 1} empty lines⟩\n", text)
    return _MANY_BLANKS.sub(lambda found: f" ⟨{len(found[0])} blanks⟩ ", text)


def within(text: str) -> str:
    """Its further lines stand in from the margin, so that none of them passes for one of ours."""
    return seen(text).rstrip("\n").replace("\n", f"\n{_IN_A_VALUE}")


def _number(one: str) -> str:
    return f"⟨U+{ord(one):04X}⟩"


def _shell(arguments: JsonMapping) -> list[str]:
    """The script as it is, with the values that it is given beside it, never inside it."""
    command, rest = arguments.get("command"), dict(arguments)
    lines: list[str] = []
    if isinstance(command, dict) and isinstance(command.get("script"), str):
        rest.pop("command")
        lines.append(within(f"$ {command['script']}"))
        given = command.get("arguments")
        for number, value in enumerate(given if isinstance(given, list) else [], 1):
            lines.append(within(f"${number} = {_value(value)}"))
    return [*lines, *_plain(rest)]


def _plain(arguments: JsonMapping) -> list[str]:
    lines = [
        within(f"{key}: {_value(value)}")
        for key, value in arguments.items()
        if value not in (None, [], {}, "")
    ]
    return lines + [f"{key}: none" for key in _DECLARED if arguments.get(key) == []]


def _value(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
