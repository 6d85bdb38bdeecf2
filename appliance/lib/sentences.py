"""Sentences that were made in English, in the language of whoever reads them."""

import re
from collections.abc import Iterable
from functools import cached_property

from django.utils.translation import gettext

from appliance.lib.errors import MillwrightError
from appliance.lib.said import Said


def in_language(text: str) -> str:
    """The same sentence in the language that is active; text that nobody made as a sentence stays as it is."""
    if not isinstance(text, Said):
        return text
    words = gettext(text.words)
    if not text.values:
        return words
    return words % {
        name: in_language(value) if isinstance(value, str) else value for name, value in text.values.items()
    }


def sentence_of(error: MillwrightError) -> str:
    """What went wrong, with its hint, in the language that is active."""
    said = in_language(error.message)
    return f"{said} ({in_language(error.hint)})" if error.hint else said


_NAME = re.compile(r"%\((\w+)\)(?:[srd]|\.\df)")
_WITH_HINT = re.compile(r"(.+?) \((.+)\)", re.DOTALL)

QUOTED = "quoted"
"""Values whose names begin so are somebody else's words: they stay as they are."""

DEEPEST = 4
"""How many sentences are known again one within the other: what is kept may have been written to have very many."""


class KnownAgain:
    """Of text that a row has kept in English the same in the language that is active.

    ``words``: the sentences with values that are known again by what stands around the values. Those without values
    need not be named; what is not known again stays as it is.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(words)

    def __call__(self, text: str) -> str:
        return self._known(text, DEEPEST)

    def _known(self, text: str, deep: int) -> str:
        said = self._said(text, deep)
        if said is not None:
            return said
        parts = _WITH_HINT.fullmatch(text)
        if parts is None or (first := self._said(parts[1], deep)) is None:
            return text
        return f"{first} ({self._said(parts[2], deep) or parts[2]})"

    def _said(self, text: str, deep: int) -> str | None:
        if not text or deep == 0:
            return None
        said = gettext(text)
        if said != text:
            return said
        for words, pattern in self._patterns:
            found = pattern.fullmatch(text)
            if found is not None:
                return _NAME.sub(r"%(\1)s", gettext(words)) % {
                    name: value if name.startswith(QUOTED) else self._known(value, deep - 1)
                    for name, value in found.groupdict().items()
                }
        return None

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        """The sentence that says most itself first."""
        longest = sorted(self._words, key=lambda words: -len(_NAME.sub("", words)))
        return [(words, _pattern(words)) for words in longest]


def _pattern(words: str) -> re.Pattern[str]:
    parts = _NAME.split(words)
    read = "".join(f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
    return re.compile(read, re.DOTALL)
