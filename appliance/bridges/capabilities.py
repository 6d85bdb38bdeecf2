"""What a platform can do, as data."""

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.outbox.ports import Pace


class LengthUnit(StrEnum):
    """What a platform counts when it limits a text."""

    CHARACTERS = "characters"
    UTF16 = "utf16"
    BYTES = "bytes"


class Formatting(StrEnum):
    PLAIN = "plain"
    MARKDOWN_V2 = "markdown_v2"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``text_limit`` counts ``unit``s, of one message with its title. ``keyed``: it drops a second message with the
    same key itself. ``receives``: people can write there; one that does not is outbound only."""

    text_limit: int
    unit: LengthUnit = LengthUnit.CHARACTERS
    formatting: frozenset[Formatting] = frozenset({Formatting.PLAIN})
    buttons: int = 0
    """How many may stand under a message; 0: none. A message's text always says the same in words."""
    label_limit: int = 40
    """Characters of a button's label."""
    attachment_limit: int = 0
    """Bytes of the largest attachment; 0: none."""
    edits: bool = False
    threads: bool = False
    keyed: bool = False
    receives: bool = True
    pace: Pace = field(default_factory=Pace)
