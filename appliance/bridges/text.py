"""Measuring and cutting texts in a platform's own unit."""

from appliance.bridges.capabilities import LengthUnit

MOST_PARTS = 5


def measure(text: str, unit: LengthUnit) -> int:
    """The length of ``text`` as the platform counts it."""
    match unit:
        case LengthUnit.CHARACTERS:
            return len(text)
        case LengthUnit.UTF16:
            return len(text.encode("utf-16-le", "surrogatepass")) // 2
        case LengthUnit.BYTES:
            return len(text.encode("utf-8", "surrogatepass"))


def split(text: str, limit: int, unit: LengthUnit, most: int = MOST_PARTS) -> list[str]:
    """Parts of at most ``limit`` units, cut at a line's end, else at a space, else between two characters.

    White space at a cut is dropped. What goes beyond ``most`` parts is left out, and the last part says so.
    """
    parts: list[str] = []
    rest = text.strip()
    while rest:
        if measure(rest, unit) <= limit:
            parts.append(rest)
            break
        if len(parts) == most - 1:
            parts.append(_shortened(rest, limit, unit))
            break
        cut = _cut(rest, limit, unit)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return parts


def _fitting(text: str, limit: int, unit: LengthUnit) -> int:
    """How many characters fit."""
    used = 0
    for index, character in enumerate(text):
        used += measure(character, unit)
        if used > limit:
            return index
    return len(text)


def _cut(text: str, limit: int, unit: LengthUnit) -> int:
    fitting = _fitting(text, limit, unit)
    for mark in ("\n", " "):
        at = text.rfind(mark, fitting // 2, fitting + 1)
        if at > 0:
            return at
    return fitting


def _shortened(text: str, limit: int, unit: LengthUnit) -> str:
    note = f"\n… ({len(text)} characters left out)"
    kept = text[: _fitting(text, limit - measure(note, unit), unit)].rstrip()
    return f"{kept}\n… ({len(text) - len(kept)} characters left out)"
