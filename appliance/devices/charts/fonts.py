"""Letters for pictures: a text gets the first font that has all of it, so that none becomes a row of boxes."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
NAMES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansCN-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
)
"""Fonts that Linux distributions bring, those with few letters first. The one that Pillow brings goes before them."""
_IN_CHINESE = {"NotoSansCJK-Regular.ttc": 2}
"""Of a collection: the number of the font with the shapes of simplified Chinese."""
_NO_LETTER = "\uffff"


def written(text: str, size: int) -> "tuple[str, FreeTypeFont]":
    """The text and the font to write it with. Where no font has it, what is missing is written as ``\\u6e29``."""
    for font in _fonts(size):
        if all(_has(font, letter) for letter in set(text)):
            return text, font
    own = _fonts(size)[0]
    return "".join(letter if _has(own, letter) else _escaped(letter) for letter in text), own


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


@cache
def _fonts(size: int) -> "tuple[FreeTypeFont, ...]":
    from PIL import ImageFont

    own = ImageFont.load_default(size)
    assert isinstance(own, ImageFont.FreeTypeFont)
    found = [own]
    for name, path in _files():
        try:
            found.append(ImageFont.truetype(str(path), size, index=_IN_CHINESE.get(name, 0)))
        except (OSError, ValueError):
            continue  # not a font, or not one that FreeType reads
    return tuple(found)


@cache
def _files() -> tuple[tuple[str, Path], ...]:
    there: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.[to]t[fc]")):
            there.setdefault(path.name, path)
    return tuple((name, there[name]) for name in NAMES if name in there)


@cache
def _missing(font: "FreeTypeFont") -> bytes:
    return bytes(font.getmask(_NO_LETTER))


def _has(font: "FreeTypeFont", letter: str) -> bool:
    return letter.isspace() or bytes(font.getmask(letter)) != _missing(font)
