"""The vocabulary of conversations: who speaks, what is remembered, and what a turn is told of both. Pure."""

from dataclasses import dataclass
from enum import StrEnum

MOST_STANDING = 8
"""Standing instructions of one person, one room, or the box: they are always told whole."""
MOST_NOTES = 40
"""Accepted notes of one person, one room, or the box."""
LONGEST_NOTE = 240
"""Characters of a note or of a standing instruction."""
LONGEST_SAID = 8_000
"""Characters of a message that are kept; an answer has as many as a turn may give."""


class ConversationKind(StrEnum):
    PERSON = "person"
    """With one person, wherever they write in private: it follows them."""
    ROOM = "room"
    """In a chat that several read."""


class Speaker(StrEnum):
    PERSON = "person"
    AGENT = "agent"
    """What an agent's run came to."""
    BOX = "box"
    """What the box itself answered: to a command, or that a run came to nothing."""


class NoteState(StrEnum):
    PROPOSED = "proposed"
    """An agent wants to remember it; nothing is told of it until a person has accepted it."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    STANDING = "standing"
    """A person has told the agent to keep to it."""
    ENDED = "ended"


class NoteScope(StrEnum):
    PERSON = "person"
    ROOM = "room"
    BOX = "box"


@dataclass(frozen=True, slots=True)
class Said:
    """A message as a turn is told of it. ``facts``: what the rows say was done, or not, for it."""

    speaker: Speaker
    author: str
    text: str
    facts: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """What was so when a run began: instructions of people, notes that they accepted, what was said, oldest first.

    ``denied``: calls that people said no to in this conversation. ``more``: messages before the oldest one here.
    """

    standing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    denied: tuple[str, ...] = ()
    more: int = 0

    @property
    def outside(self) -> bool:
        """Whether who is told it reads what comes from outside: all of it but what people told it to keep to."""
        return bool(self.notes or self.said or self.denied)


NOTHING = Before()


def cut(text: str, most: int = LONGEST_SAID) -> str:
    """The text, and where it is longer its beginning with a word about that."""
    return text if len(text) <= most else f"{text[:most]}\n[cut after {most:,} characters]"
