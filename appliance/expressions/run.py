"""One rendering: the names it sees, and the steps that it has left."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import CHARACTERS_PER_STEP, MOST_STEPS
from appliance.expressions.values import weigh

Scope = Mapping[str, Any]
"""The names and their plain JSON values."""

StateReader = Callable[[str, timedelta | None], Any]
"""Gives the last value of a topic that is no older than that; may raise StateNeeded or an ExpressionError."""


class Missing:
    """A name that is not there: an error once its value is needed, a fallback under ``|default``."""

    __slots__ = ("at", "message")

    def __init__(self, message: str, at: int) -> None:
        self.message = message
        self.at = at


class Run:
    """One rendering. ``locals`` are the names bound by ``{% for %}``."""

    __slots__ = ("locals", "scope", "state", "steps")

    def __init__(self, scope: Scope, state: StateReader | None) -> None:
        self.scope = scope
        self.state = state
        self.steps = MOST_STEPS
        self.locals: dict[str, Any] = {}

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise ExpressionError(
                "the expression takes too many steps", hint="it goes over too much: narrow it down first"
            )

    def pay(self, value: Any) -> None:
        """Pay for copying a text, list or mapping, but not for what is inside its members."""
        if isinstance(value, str | list | dict):
            self.spend(1 + len(value) // CHARACTERS_PER_STEP)

    def look_at(self, value: Any) -> None:
        """Pay for going through all of ``value``; scalars are free."""
        if isinstance(value, str | list | dict):
            self.spend(weigh(value, self.steps))


Compute = Callable[[Run], Any]


def need(value: Any) -> Any:
    """The value, which must be there."""
    if value.__class__ is Missing:
        raise ExpressionError(value.message, value.at, hint="write |default(…) where it may be missing")
    return value
