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
        self._raw: tuple[bytes, ...] = ()
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
        self._raw = tuple(form.encode("utf-8", "replace") for form in self._forms)

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
        """How many bytes at the end may be the beginning of a secret of which the rest has not come yet, or was cut
        off. A whole secret that reaches into these goes with them: what were left of it would not be found any more.
        """
        longest = max((_begun(data, raw) for raw in self._raw), default=0)
        while longest:
            place = len(data) - longest
            begins = (_across(data, raw, place) for raw in self._raw)
            if (begin := min((one for one in begins if one >= 0), default=place)) == place:
                break
            longest = len(data) - begin
        return longest

    def left_over(self, data: bytes | bytearray) -> int:
        """The same of the start: how many bytes may be the end of a secret whose beginning was cut off."""
        longest = max((_ended(data, raw) for raw in self._raw), default=0)
        while longest:
            ends = ((_across(data, raw, longest), len(raw)) for raw in self._raw)
            if (end := max((begin + size for begin, size in ends if begin >= 0), default=longest)) == longest:
                break
            longest = end
        return longest

    def cut_off(self, text: str) -> str:
        """A text of which the rest is not there, without what may be the beginning of a secret."""
        data = text.rstrip("\ufffd").encode("utf-8", "replace")  # where a character was cut, too
        return data[: len(data) - self.unfinished(data)].decode() if self._raw else text


KNOWN = Mask()
"""Of this process."""


def _begun(data: bytes | bytearray, raw: bytes) -> int:
    """How many bytes of ``raw``, and not all, ``data`` ends with."""
    place = data.find(raw[:1], max(0, len(data) - len(raw) + 1))
    while place >= 0 and not raw.startswith(bytes(data[place:])):
        place = data.find(raw[:1], place + 1)
    return len(data) - place if place >= 0 else 0


def _ended(data: bytes | bytearray, raw: bytes) -> int:
    """How many bytes of the end of ``raw``, and not all, ``data`` begins with."""
    place = data.rfind(raw[-1:], 0, len(raw) - 1)
    while place >= 0 and not raw.endswith(bytes(data[: place + 1])):
        place = data.rfind(raw[-1:], 0, place)
    return place + 1


def _across(data: bytes | bytearray, raw: bytes, place: int) -> int:
    """Where ``raw`` stands in ``data`` on both sides of ``place``; -1: nowhere."""
    return data.find(raw, max(0, place - len(raw) + 1), place + len(raw) - 1)


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
