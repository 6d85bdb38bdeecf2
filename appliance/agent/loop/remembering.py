"""What a turn is told of what was said before: the newest whole, older ones as a line each, the oldest as a count.

Standing instructions are the rules' company and stand with them, whole. All else was said by somebody, and is data.
"""

from collections.abc import Iterator

from appliance.agent.conversations.domain import Before, Said
from appliance.agent.loop.outside import bounded, marked

SIZES = ((6, 30), (4, 20), (3, 10), (2, 6), (1, 4), (1, 0), (0, 0))
"""How many of the newest messages are whole, and how many before them are a line each: smaller and smaller."""
WHOLE_AT_MOST = 2_000
"""Characters of a message that is told whole."""
LINE_AT_MOST = 140


def standing(before: Before) -> str:
    """For the rules; empty where nobody has told the agent to keep to anything."""
    if not before.standing:
        return ""
    lines = "\n".join(f"- {one}" for one in before.standing)
    return f"People here have told you to keep to this, always:\n{lines}"


def remembered(before: Before, boundary: str, size: int) -> Iterator[tuple[str, str]]:
    """``size``: a place in SIZES. What was denied and what was noted stays at each."""
    if before.notes:
        noted = marked("\n".join(f"- {one}" for one in before.notes), boundary, "notes")
        yield "user", f"What you were to remember, and people have agreed to:\n{noted}"
    if before.said:
        yield "user", "\n".join(_said(before, boundary, *SIZES[size]))
    if before.denied:
        denied = marked("\n".join(f"- {one}" for one in before.denied), boundary, "denied calls")
        yield (
            "user",
            f"People said no to these calls before. Do not ask for them again by yourself:\n{denied}",
        )


def _said(before: Before, boundary: str, whole: int, lines: int) -> Iterator[str]:
    yield "What was said before in this conversation:"
    count = len(before.said)
    first_whole = count - min(whole, count)
    first_line = max(0, first_whole - lines)
    left = before.more + first_line
    if left:
        yield f"({left} earlier messages are left out: there is no room for them.)"
    told = [
        *(_line(one) for one in before.said[first_line:first_whole]),
        *(_whole(one) for one in before.said[first_whole:]),
    ]
    if first_line < first_whole:
        yield f"(Of {first_whole - first_line} older ones only the beginning is told.)"
    if told:
        yield marked("\n".join(told), boundary, "the conversation")


def _whole(one: Said) -> str:
    return f"{_name(one)}: {bounded(one.text, WHOLE_AT_MOST)}{f' [{one.facts}]' if one.facts else ''}"


def _line(one: Said) -> str:
    text = " ".join(one.text.split())
    short = text if len(text) <= LINE_AT_MOST else f"{text[:LINE_AT_MOST]}…"
    return f"{_name(one)}: {short}{f' [{one.facts[:LINE_AT_MOST]}]' if one.facts else ''}"


def _name(one: Said) -> str:
    return one.author if one.speaker == "person" else {"agent": "you", "box": "the box"}[one.speaker]
