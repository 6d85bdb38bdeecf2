"""What a model was told, cut where text from outside begins and ends. Pure."""

import re
from collections.abc import Iterable, Iterator

from appliance.agent.explaining.domain import Piece

_RULE = re.compile(r"\[data ([0-9a-f]{12}) …\]")
_GAP = re.compile(r"(\n… [0-9,]+ characters left out …\n)")


def pieces(sent: str) -> tuple[Piece, ...]:
    """By the marks that ``loop/outside.py`` has put around it. The box's rules, which come first, name the mark of the
    turn; nothing from outside can have it. What was left out of the middle may have taken a mark with it: of what is
    then unclear everything counts as from outside."""
    named = _RULE.search(sent)
    if named is None:
        return (Piece(sent, outside=True),) if sent else ()
    found: list[Piece] = []
    inside = False
    label = ""
    for part in _GAP.split(sent):
        if _GAP.fullmatch(part):
            found.append(Piece(part))
            continue
        cut, inside, label = _cut(part, named[1], inside, label)
        found += cut
    return tuple(piece for piece in found if piece.text)


def _cut(text: str, boundary: str, inside: bool, label: str) -> tuple[list[Piece], bool, str]:
    """The pieces, and whether it ends within a piece from outside."""
    marks = re.compile(rf"\[data {boundary} ([^\]\n…][^\]\n]*)\]\n|\n\[end of data {boundary}\]")
    first = marks.search(text)
    # After a gap the first mark may be an end whose beginning was left out.
    inside = inside if first is None else first[1] is None
    found, at = [], 0
    for mark in marks.finditer(text):
        found.append(Piece(text[at : mark.start()], inside, label if inside else ""))
        inside, label = mark[1] is not None, mark[1] or ""
        at = mark.end()
    found.append(Piece(text[at:], inside, label if inside else ""))
    return found, inside, label


def plain_pieces(found: Iterable[Piece]) -> Iterator[str]:
    """For a terminal: each line from outside has a bar before it."""
    for piece in found:
        if piece.outside:
            yield "\n".join(f"| {line}" for line in piece.text.split("\n"))
        else:
            yield piece.text
