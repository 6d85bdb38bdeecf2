"""One task's own part of a file with several: what its version keeps and the editor shows."""

from textwrap import dedent

import yaml

from appliance.lib.located.problems import Path, part_at
from appliance.lib.located.yaml_reader import Document, read_yaml


def piece_of(text: str, document: Document, path: Path) -> str:
    """The lines of the task at ``path``, comments included, as a file of its own.

    Where its lines are not its own (a list in one line), the task written anew.
    """
    if not path or not isinstance(path[-1], int):
        return text
    start = _first_line(text, document, path)
    following = (*path[:-1], path[-1] + 1)
    end = _first_line(text, document, following) if following in document.values else None
    lines = text.splitlines(keepends=True)[start:end]
    piece = dedent("".join(lines)).rstrip() + "\n"
    value = part_at(document.value, path)
    if read_yaml(piece).value in (value, [value]):
        return piece
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=110)


def _first_line(text: str, document: Document, path: Path) -> int:
    """The line a list item starts on, moved up over the comments that stand right above it."""
    lines = text.splitlines()
    line = document.values[path].line
    while line > 0 and not lines[line].lstrip().startswith("-") and lines[line - 1].strip() == "-":
        line -= 1
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line
