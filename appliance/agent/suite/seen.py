"""What became of the world after an agent was at work in it, from the rows and from the twin."""

from dataclasses import dataclass, field
from typing import Any

from appliance.lib.jsontypes import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call that became a step: ``place`` is its order among all steps of the agent's run."""

    place: int
    tool: str
    reads: bool
    state: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    state: str
    """Of the run, with what it waits for, as ``waiting:approval``."""
    reason: str
    answer: str
    confirmed: bool
    published: tuple[tuple[str, str], ...] = ()
    tasks: tuple[tuple[str, JsonObject], ...] = ()
    """Runs that the agent had started, with their vars."""
    commands: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    sent: tuple[tuple[str, str, str], ...] = ()
    values: JsonObject = field(default_factory=dict)
    calls: tuple[CallSeen, ...] = ()
    asked: int = 0
    turns: int = 0
    tokens: int = 0
    malformed: int = 0
    seconds: float = 0.0

    def to_json(self) -> JsonObject:
        calls: list[JsonValue] = [
            f"{one.tool}: {one.state}{f' ({one.error[:200]})' if one.error else ''}" for one in self.calls
        ]
        return {
            "state": self.state,
            "answer": self.answer,
            "calls": calls,
            "turns": self.turns,
            "tokens": self.tokens,
            "malformed": self.malformed,
            "seconds": round(self.seconds, 2),
        }


def as_object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
