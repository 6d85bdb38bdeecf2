"""What a check of the doctor is: one question about the box, with a name that never changes, and what to do.

Areas keep theirs in ``checks.py`` (or a folder ``checks/``), as a tuple ``CHECKS``; the doctor finds them there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.lib.config import Config


class Field(StrEnum):
    """What a check is about, and with that the beginning of its name."""

    GENERAL = "general"
    SECURITY = "security"


class Severity(StrEnum):
    """How much it matters where something is found."""

    HIGH = "high"
    """Others can get in, or the box does not work."""
    MEDIUM = "medium"
    """A line of defence is missing, or will be soon."""
    LOW = "low"
    """Better, but nothing depends on it."""


class Outcome(StrEnum):
    GOOD = "good"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    """It could not be looked at; what was found says why."""
    ABSENT = "absent"
    """There is nothing here that it could be about."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen. Never a secret: the doctor's answers are sent to those who help."""

    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Patient:
    """The box as checks see it."""

    config: Config
    now: datetime


@dataclass(frozen=True, slots=True)
class Check:
    """``id`` is stable: MW-G for general ones, MW-S for security, and a number that is never used again."""

    id: str
    title: str
    """What is so where all is well."""
    severity: Severity
    look: Callable[[Patient], Found]
    fix: str

    @property
    def field(self) -> Field:
        return Field.SECURITY if self.id.startswith("MW-S") else Field.GENERAL


def good(said: str = "") -> Found:
    return Found(Outcome.GOOD, said)


def problem(said: str) -> Found:
    return Found(Outcome.PROBLEM, said)


def unknown(said: str) -> Found:
    return Found(Outcome.UNKNOWN, said)


def absent(said: str) -> Found:
    return Found(Outcome.ABSENT, said)


def either(fine: bool, said: str) -> Found:
    return good(said) if fine else problem(said)
