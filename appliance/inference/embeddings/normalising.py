"""The one form in which texts are compared. Pure."""

import re
import unicodedata

_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"'})
_MOST_ROUNDS = 4
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def normalised(text: str) -> str:
    """Full-width forms are half-width ones, letters are small, blanks are one each, nothing invisible is left.

    What comes out goes in unchanged: a few letters need more than one round (NFKC of a small letter may be another).
    """
    for _ in range(_MOST_ROUNDS):
        before, text = text, _once(text)
        if text == before:
            break
    return text


def _once(text: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower()).translate(_QUOTES)
    if not text.isascii():
        text = "".join(one for one in text if unicodedata.category(one) not in ("Cf", "Cs", "Co"))
    elif not text.isprintable():
        text = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(text.split())


def is_chinese(character: str) -> bool:
    return _CHINESE.match(character) is not None


def latin_share(text: str) -> float:
    """How many of the letters (0 to 1) are Latin; 1 for a text without letters."""
    letters = [one for one in text if one.isalpha()]
    if not letters:
        return 1.0
    return sum("LATIN" in unicodedata.name(one, "") for one in letters) / len(letters)
