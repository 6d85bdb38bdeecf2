"""Taking secret values out of texts before they are stored, shown, logged or sent to a model."""

import base64
import html
import json
from collections.abc import Iterable
from threading import Lock
from urllib.parse import quote, quote_plus

from appliance.lib.jsontypes import JsonObject, JsonValue

MASK = "•••"
SHORTEST = 4
"""A shorter value would take half of every text with it; such secrets are refused when they are set."""
_SHORTEST_CORE = 12
"""Bytes of a value that is also found in the base64 of a longer text; of a shorter one too little stays the same."""
_SHORTEST_LINE = 20
"""Characters of a line that is taken out by itself, as the lines of a key are when they are printed one by one."""


def redact(text: str, values: Iterable[str]) -> str:
    """``text`` with every form of every value replaced: plain, URL-encoded, as JSON or HTML text, in base64."""
    return _replaced(text, _sorted(map(_forms, values)))


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
        self._marks: tuple[str, ...] = ()

    def know(self, values: Iterable[str]) -> None:
        """These are all that the box keeps now."""
        with self._lock:
            if (kept := frozenset(values)) != self._kept:
                self._kept = kept
                self._look_for()

    def learn(self, value: str) -> None:
        if value in self._learned or len(value) < SHORTEST:
            return
        with self._lock:
            self._learned.add(value)
            self._look_for()

    def forget(self) -> None:
        """Nothing is known any more."""
        with self._lock:
            self._kept, self._learned = frozenset(), set()
            self._look_for()

    def _look_for(self) -> None:
        each = [_forms(value) for value in self._kept | self._learned]
        self._forms, self._marks = _sorted(each), _sorted(map(_without_longer, each))

    @property
    def knows_any(self) -> bool:
        return bool(self._forms)

    def stands_in(self, text: str) -> bool:
        """Whether there is something to mask in a text, JSON or not: the quick question before the slow answer."""
        return any(mark in text for mark in self._marks)

    def text(self, text: str) -> str:
        return _replaced(text, self._forms) if self.stands_in(text) else text

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


def _sorted(forms: Iterable[set[str]]) -> tuple[str, ...]:
    """The longest first: one that holds another goes as a whole."""
    return tuple(sorted(set().union(*forms), key=len, reverse=True))


def _without_longer(forms: set[str]) -> set[str]:
    """Those that hold none of the others: where none of these stands, none of the others does."""
    return {form for form in forms if not any(other in form for other in forms if other is not form)}


def _forms(value: str) -> set[str]:
    """All that one value may look like; none of a value that is too short."""
    if len(value) < SHORTEST:
        return set()
    raw = value.encode("utf-8", "replace")
    encoded = base64.b64encode(raw).decode()
    in_base64 = {encoded, encoded.rstrip("="), *_cores(raw)}
    return {
        value,
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        html.escape(value),
        html.escape(value, quote=False),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        *in_base64,
        *(one.replace("+", "-").replace("/", "_") for one in in_base64),
        *_lines(value),
    }


def _cores(raw: bytes) -> Iterable[str]:
    """What stays the same of a value in the base64 of any text around it: one for each place in a group of three."""
    if len(raw) < _SHORTEST_CORE:
        return
    for before, mixed in enumerate((0, 2, 3)):  # characters that hold bits of what stands before it
        whole = base64.b64encode(bytes(before) + raw).decode()
        yield whole[mixed : (before + len(raw)) * 8 // 6]


def _lines(value: str) -> Iterable[str]:
    """The lines of a value with several. What frames a key (-----BEGIN …) is no secret."""
    lines = value.splitlines()
    if len(lines) > 1:
        for line in map(str.strip, lines):
            if len(line) >= _SHORTEST_LINE and not line.startswith("-----"):
                yield line
