"""Positions in the journal and what is read at them: pure rules."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from appliance.events.catalogue import event_from_json
from appliance.events.event import Event
from appliance.lib.digest import canonical_json
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.masking import KNOWN
from appliance.lib.plain import plain_object, plain_text

_HIGHEST = 2**63 - 1


class CursorInvalid(MillwrightError):
    """A position that this journal never gave out; the reader takes the current one and reads all anew."""

    code = "events.cursor_invalid"


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A position: everything up to and including (xact, seq) has been read. Its text is ``xact-seq``."""

    xact: int
    seq: int

    def __str__(self) -> str:
        return f"{self.xact}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        xact, dash, seq = text.partition("-")
        if not (dash and len(text) <= 42 and _digits(xact) and _digits(seq)):
            raise CursorInvalid("not a position in the journal", hint="a position looks like 812-4711")
        if int(xact) > _HIGHEST or int(seq) > _HIGHEST:
            raise CursorInvalid("this position lies beyond the journal")
        return cls(int(xact), int(seq))


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as the journal keeps it."""

    cursor: Cursor
    at: datetime
    type: str
    subject: str
    data: JsonObject

    @property
    def event(self) -> Event:
        """The typed event. Raises UnknownEvent for a type that this version does not know."""
        return event_from_json(self.type, self.data)

    def to_json(self) -> JsonObject:
        """What a browser gets: ``cursor`` is what it asks with after a reconnect."""
        return {
            "cursor": str(self.cursor),
            "at": self.at.isoformat(),
            "type": self.type,
            "subject": self.subject,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the journal and the position after it."""

    entries: tuple[Entry, ...]
    cursor: Cursor
    more: bool


def entry_of(row: Sequence[Any]) -> Entry:
    """A row of (xact, seq, at, type, subject, data as text)."""
    return Entry(Cursor(int(row[0]), row[1]), row[2], row[3], row[4], json.loads(row[5]))


def columns(events: Sequence[Event]) -> tuple[list[str], list[str], list[str]]:
    """The three arrays of the insert: types, subjects, data as JSON text."""
    return (
        [event.type for event in events],
        [plain_text(event.subject) for event in events],
        [_data_of(event) for event in events],
    )


def _data_of(event: Event) -> str:
    data = plain_object(event.to_json())
    text = canonical_json(data).decode()
    return canonical_json(KNOWN.object(data)).decode() if KNOWN.stands_in(text) else text
