"""Taking secret values out of texts before they are stored, shown, logged or sent to a model."""

import base64
import json
from collections.abc import Iterable
from threading import Lock
from urllib.parse import quote, quote_plus

from appliance.lib.jsontypes import JsonObject, JsonValue

MASK = "•••"
SHORTEST = 4
"""A shorter value would take half of every text with it; such secrets are refused when they are set."""


def redact(text: str, values: Iterable[str]) -> str:
    """``text`` with every form of every value replaced: plain, URL-encoded, as JSON text, in base64."""
    return _replaced(text, _sorted(values))


class Mask:
    """The secrets that this process knows of, taken out of what leaves it.

    ``know`` is what the box keeps, read anew now and then; ``learn`` what this process itself has just resolved or
    was given: that counts at once. Nothing known costs nothing.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: frozenset[str] = frozenset()
        self._learned: set[str] = set()
        self._forms: tuple[str, ...] = ()

    def know(self, values: Iterable[str]) -> None:
        """These are all that the box keeps now."""
        with self._lock:
            self._kept = frozenset(values)
            self._forms = _sorted(self._kept | self._learned)

    def learn(self, value: str) -> None:
        if value in self._learned or len(value) < SHORTEST:
            return
        with self._lock:
            self._learned.add(value)
            self._forms = _sorted(self._kept | self._learned)

    def forget(self) -> None:
        """Nothing is known any more."""
        with self._lock:
            self._kept, self._learned, self._forms = frozenset(), set(), ()

    @property
    def knows_any(self) -> bool:
        return bool(self._forms)

    def stands_in(self, text: str) -> bool:
        """Whether there is something to mask in a text, JSON or not: the quick question before the slow answer."""
        return any(form in text for form in self._forms)

    def text(self, text: str) -> str:
        return _replaced(text, self._forms) if self._forms else text

    def value(self, value: JsonValue) -> JsonValue:
        """The same with every text in it masked, keys too."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(one) for key, one in value.items()}
        return value

    def object(self, value: JsonObject) -> JsonObject:
        found = self.value(value)
        assert isinstance(found, dict)
        return found

    def unfinished(self, data: bytes | bytearray) -> int:
        """How many bytes at the end may be the beginning of a secret of which the rest has not come yet."""
        longest = 0
        for form in self._forms:
            raw = form.encode("utf-8", "replace")
            for size in range(min(len(raw) - 1, len(data)), longest, -1):
                if data.endswith(raw[:size]):
                    longest = size
                    break
        return longest


KNOWN = Mask()
"""Of this process."""


def _replaced(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    """The longest first: one that holds another goes as a whole."""
    return tuple(sorted(_forms(values), key=len, reverse=True))


def _forms(values: Iterable[str]) -> set[str]:
    forms: set[str] = set()
    for value in values:
        if len(value) < SHORTEST:
            continue
        raw = value.encode("utf-8", "replace")
        encoded = base64.b64encode(raw).decode()
        forms |= {
            value,
            quote(value, safe=""),
            quote_plus(value),
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            encoded,
            encoded.replace("+", "-").replace("/", "_"),
        }
    return forms
