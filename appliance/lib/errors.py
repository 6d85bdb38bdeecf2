"""The root of every error that Millwright raises on purpose."""

from typing import ClassVar


class MillwrightError(Exception):
    """An error with a stable code, a sentence for the person, and a hint what to do.

    ``permanent`` tells a caller whether trying the same thing again can help.
    """

    code: ClassVar[str] = "millwright.error"
    permanent: ClassVar[bool] = True

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
