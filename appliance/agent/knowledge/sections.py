"""A Markdown text as sections, one for each heading, and sections as passages, short enough to be told. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

PASSAGE = 1_200
"""Characters of a passage, about: it ends at a line."""
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True, slots=True)
class Section:
    """``heading``: with those above it, as ``Pumps › Restart``; empty for what stands before the first. ``line`` is
    the heading's, from 1; ``text`` has it too."""

    number: int
    heading: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    section: int
    heading: str
    line: int
    text: str


def sections(text: str) -> list[Section]:
    """In order; a section that says nothing but its heading is one too."""
    found: list[Section] = []
    path: list[str] = []
    lines: list[str] = []
    begun, fence = 1, ""

    def close() -> None:
        whole = "\n".join(lines).strip("\n")
        if whole.strip():
            found.append(Section(len(found), " › ".join(one for one in path if one), begun, whole))

    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if mark and (not fence or (mark[1][0] == fence[0] and len(mark[1]) >= len(fence))):
            fence = "" if fence else mark[1]
        heading = None if fence or mark else _HEADING.match(line)
        if heading is not None:
            close()
            level = len(heading[1])
            path = [*path[: level - 1], *[""] * (level - 1 - len(path)), heading[2].strip()]
            lines, begun = [], number
        lines.append(line)
    close()
    return found


def passages(section: Section) -> Iterator[Passage]:
    """The section in pieces; a line that is longer than a piece stands alone, cut, or with the heading above it."""
    lines: list[str] = []
    size, begun, says = 0, section.line, False
    for number, line in enumerate(section.text.splitlines(), section.line):
        if says and size + len(line) > PASSAGE:
            yield Passage(section.number, section.heading, begun, "\n".join(lines))
            lines, size, begun, says = [], 0, number, False
        lines.append(line[: PASSAGE * 4])
        size += len(line) + 1
        is_heading = number == section.line and _HEADING.match(line)
        says = says or bool(line.strip() and not is_heading)
    if any(line.strip() for line in lines):
        yield Passage(section.number, section.heading, begun, "\n".join(lines))
