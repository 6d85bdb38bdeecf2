"""The rules of escalations: their stages, how long each has, and what a first message asks. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from appliance.lib.identity import time_of, uuid_at
from appliance.lib.jsontypes import JsonValue

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Of codes that people type on a phone: none that looks like another."""

MOST_STAGES = 10
PRIORITY = 15
"""Of messages, at least: behind what stops the box or asks for a decision, ahead of what only informs."""
LONGEST = timedelta(days=7)
"""Of one stage."""
LONGEST_TITLE = 200


class State(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    EXHAUSTED = "exhausted"
    """All stages were told, and nobody has answered. An answer still counts."""
    WITHDRAWN = "withdrawn"
    """Somebody said that nobody has to answer any more."""


UNSETTLED = (State.OPEN, State.EXHAUSTED)


class Way(StrEnum):
    """Through what somebody answered."""

    WEB = "web"
    CHAT = "chat"
    API = "api"


@dataclass(frozen=True, slots=True)
class Stage:
    """Who is told ``after`` so many seconds without an answer. One without receivers ends the chain."""

    after: float
    to: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        return {"after": self.after, "to": list(self.to)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Stage":
        return cls(float(kept["after"]), tuple(str(one) for one in kept["to"]))


def chain(stages: Sequence[Stage], last: float) -> tuple[Stage, ...]:
    """The stages, and the end: ``last`` seconds after the last of them it is exhausted."""
    return (*stages, Stage(last))


@dataclass(frozen=True, slots=True)
class NewEscalation:
    """``key`` names it for ever: a second one with the same key is the same one.

    ``messages`` are the first ones, as identifiers of the outbox; they are the opener's to enqueue, in the same
    transaction. ``priority`` is that of the messages which follow.
    """

    key: str
    about: str
    text: str
    stages: tuple[Stage, ...]
    opened_at: datetime
    priority: int
    messages: tuple[UUID, ...] = ()
    task: str = ""
    run_id: UUID | None = None
    step_id: str = ""
    alert_id: int | None = None

    @property
    def id(self) -> UUID:
        at = time_of(self.run_id) if self.run_id else self.opened_at
        return uuid_at(at, "escalation", self.key)

    @property
    def code(self) -> str:
        return code_of(self.id)

    @property
    def title(self) -> str:
        """The first line."""
        return self.text.strip().partition("\n")[0][:LONGEST_TITLE]


def code_of(identifier: UUID) -> str:
    """Short enough to type, and the same whenever the step that opens it is repeated. It gives no right."""
    number = int.from_bytes(hashlib.sha256(identifier.bytes).digest()[:8], "big")
    letters = []
    for _ in range(6):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return "".join(letters)
