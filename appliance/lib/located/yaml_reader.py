"""YAML as plain JSON values, with the place of everything; hostile files are refused while being read.

The scalars are those of YAML 1.2's core schema (``yes``, ``on``, ``012`` and ``12:30`` are text or plain
numbers, not surprises). Not accepted: aliases, tags, keys that are not text, repeated keys, a second
document.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.problems import Path
from appliance.lib.said import say

MAX_CHARACTERS = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 50_000
MAX_SCALAR = 64 * 1024

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands: zero-based line and column, and the slice of the text it was read from."""

    line: int
    column: int
    start: int
    end: int
    style: str = ""
    """Of a scalar: empty for plain, else its first character."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the YAML itself."""

    path: Path
    line: int
    column: int
    message: str
    hint: str = ""


@dataclass(slots=True)
class Document:
    """A file's value and where each part of it stands."""

    value: JsonValue = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class _StopError(MillwrightError):
    """Reading on makes no sense; the fault says why."""

    code = "yaml.stopped"

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read_yaml(text: str) -> Document:
    """The document of ``text``. Faults are collected in it; the value is None after a fatal one."""
    document = Document()
    if len(text) > MAX_CHARACTERS:
        # How many more is not known here: readers of files stop a little beyond.
        document.faults.append(
            Fault(
                (),
                0,
                0,
                say("the file has more than a million characters"),
                say("at most 1 million: divide it"),
            )
        )
        return document
    try:
        text.encode()
        document.value = _Reader(text, document).document()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        document.faults.append(_character_fault(error.start, text))
    except _StopError as stop:
        document.faults.append(stop.fault)
    except yaml.MarkedYAMLError as error:
        document.faults.append(_syntax_fault(error))
    except yaml.YAMLError as error:
        document.faults.append(_character_fault(getattr(error, "position", 0), text))
    return document


def _syntax_fault(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    said = error.problem or say("this is not YAML")
    context = f" {error.context}" if error.context else ""
    start = error.context_mark
    hint = say("indent with blanks, never with tabs") if "cannot start any token" in said else ""
    if start is not None and start.line != line:
        hint = say("it begins in line %(line)s", line=start.line + 1)
    return Fault((), line, column, say("not YAML: %(said)s%(context)s", said=said, context=context), hint)


def _character_fault(position: int, text: str) -> Fault:
    bad = next((i for i, c in enumerate(text) if not _is_printable(c)), min(position, len(text)))
    line = text.count("\n", 0, bad)
    column = bad - (text.rfind("\n", 0, bad) + 1)
    return Fault(
        (), line, column, say("the character %(text)r is not allowed in YAML", text=text[bad : bad + 1])
    )


def _is_printable(char: str) -> bool:
    code = ord(char)
    return (
        code in (0x9, 0xA, 0xD, 0x85)
        or 0x20 <= code <= 0x7E
        or 0xA0 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or code >= 0x10000
    )


class _Reader:
    """Builds values from the parser's events, so that nothing is built before it is bounded."""

    def __init__(self, text: str, document: Document) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.found = document
        self.nodes = 0

    def document(self) -> JsonValue:
        event = next(self.events)  # the stream's start
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._node(next(self.events), ())
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._stop(event, (), say("a second document"), say("write several things as one list"))
        return value

    def _node(self, event: Any, path: Path) -> JsonValue:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._stop(
                event, path, say("too many values in one file"), say("at most %(number)s", number=MAX_NODES)
            )
        if len(path) > MAX_DEPTH:
            raise self._stop(
                event,
                path,
                say("nested too deeply"),
                say("at most %(max_depth)s levels", max_depth=MAX_DEPTH),
            )
        if isinstance(event, yaml.AliasEvent):
            raise self._stop(event, path, say("aliases (*name) are not accepted"), say("write the value out"))
        if event.tag is not None and event.tag != "!":
            self._fault(
                event,
                path,
                say("the tag %(tag)s is not accepted", tag=event.tag[:60]),
                say("write the plain value"),
            )
        start = event.start_mark
        if isinstance(event, yaml.ScalarEvent):
            self._place(event, path)
            return self._scalar(event, path)
        self.found.values[path] = Place(start.line, start.column, start.index, start.index)
        return self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)

    def _list(self, path: Path) -> JsonValue:
        items: list[JsonValue] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> JsonValue:
        found: dict[str, JsonValue] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path)
            here = (*path, key)
            repeated = key in found
            if repeated:
                self._fault(event, here, say("`%(key)s` is written twice", key=key), say("keep one of them"))
            else:
                mark = event.start_mark
                self.found.keys[here] = Place(mark.line, mark.column, mark.index, event.end_mark.index)
            value = self._node(next(self.events), here)
            if not repeated:
                found[key] = value
        return found

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._stop(
                event, path, say("a key must be text"), say('an expression needs quotes: "{{ … }}"')
            )
        self.nodes += 1
        if len(event.value) > 1000:
            raise self._stop(event, path, say("a key is too long"), say("at most 1000 characters"))
        return str(event.value)

    def _scalar(self, event: Any, path: Path) -> JsonValue:
        text = str(event.value)
        if len(text) > MAX_SCALAR:
            self._fault(
                event,
                path,
                say("a text of %(count)s characters", count=len(text)),
                say("at most %(number)s", number=MAX_SCALAR),
            )
            return ""
        if not event.implicit[0]:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _NOT_FINITE.fullmatch(text):
            self._fault(
                event,
                path,
                say("%(text)s is not a number here", text=text),
                say("write a finite number, or quote the text"),
            )
            return None
        return self._number(event, path, text)

    def _number(self, event: Any, path: Path, text: str) -> JsonValue:
        if len(text) > 40:
            return text
        if _INT.fullmatch(text) or _RADIX.fullmatch(text):
            number = int(text, 0) if _RADIX.fullmatch(text) else int(text)
            if abs(number) >= _LARGEST:
                self._fault(
                    event,
                    path,
                    say("%(text)s is too large for a number", text=text),
                    say("quote it to make it text"),
                )
            return number
        if not _FLOAT.fullmatch(text):
            return text
        value = float(text)
        if value in (float("inf"), float("-inf")):
            self._fault(
                event,
                path,
                say("%(text)s is too large for a number", text=text),
                say("quote it to make it text"),
            )
            return None
        return value

    def _place(self, event: Any, path: Path) -> None:
        mark, end = event.start_mark, event.end_mark.index
        self.found.values[path] = Place(mark.line, mark.column, mark.index, end, event.style or "")

    def _fault(self, event: Any, path: Path, message: str, hint: str = "") -> None:
        mark = event.start_mark
        self.found.faults.append(Fault(path, mark.line, mark.column, message, hint))

    def _stop(self, event: Any, path: Path, message: str, hint: str) -> _StopError:
        mark = event.start_mark
        return _StopError(Fault(path, mark.line, mark.column, message, hint))
