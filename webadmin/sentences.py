"""Sentences that other layers made in English, in the reader's language."""

import re
from functools import cache

from django.utils.translation import gettext

from appliance.lib.sentences import in_language
from webadmin import acceptance_sentences, kept_sentences, model_sentences

__all__ = ["in_language", "kept"]

_NAME = re.compile(r"%\((\w+)\)(?:[srd]|\.\df)")
_WITH_HINT = re.compile(r"(.+?) \((.+)\)", re.DOTALL)


def kept(text: str) -> str:
    """The same of a sentence that a row has kept as text, with its hint; what is not known again stays as it is."""
    said = _known_again(text)
    if said is not None:
        return said
    parts = _WITH_HINT.fullmatch(text)
    if parts is None or (first := _known_again(parts[1])) is None:
        return text
    return f"{first} ({_known_again(parts[2]) or parts[2]})"


def _known_again(text: str) -> str | None:
    if not text:
        return None
    said = gettext(text)
    if said != text:
        return said
    for words, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            return _NAME.sub(r"%(\1)s", gettext(words)) % {
                name: kept(value) for name, value in found.groupdict().items()
            }
    return None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The sentence that says most itself first."""
    known = (
        *kept_sentences.WITH_VALUES,
        *model_sentences.WITH_VALUES,
        *acceptance_sentences.WITH_VALUES,
    )
    longest = sorted(known, key=lambda words: -len(_NAME.sub("", words)))
    return [(words, _pattern(words)) for words in longest]


def _pattern(words: str) -> re.Pattern[str]:
    parts = _NAME.split(words)
    read = "".join(f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
    return re.compile(read, re.DOTALL)
