"""Errors of expressions, and the question that is not an error."""

from datetime import timedelta

from appliance.lib.errors import MillwrightError

UNLOCATED = -1
"""Offset of an error raised where the text is not known; whoever knows it calls ``locate``."""


class ExpressionError(MillwrightError):
    """A text that is not in the language, or a value that cannot be computed.

    ``offset`` counts characters of the text from 0. ``path`` leads to that text inside a tree.
    """

    code = "expression.invalid"

    def __init__(self, message: str, offset: int = UNLOCATED, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset
        self.path: tuple[str | int, ...] = ()

    def locate(self, offset: int) -> None:
        """Where it happened, unless somebody nearer has said so."""
        if self.offset < 0:
            self.offset = offset


class StateNeeded(Exception):
    """``state()`` asked for a topic that the caller has not fetched yet: fetch it and render again.

    Raised by the caller's own StateReader; it passes through ``render`` untouched.
    """

    def __init__(self, topic: str, max_age: timedelta | None = None) -> None:
        super().__init__(topic)
        self.topic = topic
        self.max_age = max_age
