"""The written pages of the product, and what they name."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_TABLE_ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str | None = None) -> Iterator[str]:
    """The texts between fences; with ``language`` only those marked with it."""
    for found in _FENCE.finditer(page.read_text()):
        if language is None or found[1] == language:
            yield found[2]


def prose(page: Path) -> str:
    """The page without what stands between fences."""
    return _FENCE.sub("", page.read_text())


def code_words(page: Path) -> Iterator[str]:
    """What stands in back quotes in the prose."""
    yield from _CODE.findall(prose(page))


def first_column(page: Path, heading: str = "") -> list[str]:
    """The first cell of every table row below ``heading``, back quotes taken off."""
    text = page.read_text()
    if heading:
        text = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    cells = [row.split("|")[0].strip() for row in _TABLE_ROW.findall(text)]
    return [cell.strip("`") for cell in cells if cell.startswith("`")]
