"""How far an import, a check or a quantisation is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """``stage``: ``copying``, ``downloading``, ``checking``, ``quantising``, …; ``done`` of ``total`` are bytes, or
    ``unit``."""

    stage: str
    done: int
    total: int | None = None
    file: str = ""
    unit: str = ""


OnProgress = Callable[[Progress], None]


def nobody(_: Progress) -> None:
    """Where nobody looks."""
