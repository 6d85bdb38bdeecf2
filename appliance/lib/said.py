"""Sentences for people that a screen can say in another language: the words, and the values in them.

Whoever makes one writes it in English, where it happens; it is text like any other for commands, logs and the API.
"""

from collections.abc import Mapping
from typing import Any


class Said(str):
    """An English sentence made of ``words`` (with ``%(name)s`` for each value) and ``values``.

    Text made from it by slicing or joining is plain text again, and stays English.
    """

    words: str
    values: Mapping[str, Any]

    def __new__(cls, words: str, values: Mapping[str, Any]) -> "Said":
        made = super().__new__(cls, words % values if values else words)
        made.words, made.values = words, values
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, Any]]:  # type: ignore[override]  # as copies are made
        return self.words, self.values


def say(words: str, **values: Any) -> Said:
    """``words`` must be written out in the call: that is how the catalogue of another language finds them."""
    return Said(words, values)
