"""What makes vectors of texts, and the form in which it gives them."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Matrix:
    """``rows`` vectors of ``size`` numbers one after another: float32, each of length 1, or 0 for an empty text.

    ``values`` has the buffer protocol: ``numpy.frombuffer(matrix.values, "f4").reshape(rows, size)`` copies nothing.
    """

    size: int
    values: "array[float]"

    @property
    def rows(self) -> int:
        return len(self.values) // self.size

    def row(self, index: int) -> "array[float]":
        return self.values[index * self.size : (index + 1) * self.size]


class Encoder(Protocol):
    """Makes vectors. ``digest`` names the scheme or the weights: vectors of two digests are never compared."""

    name: str
    digest: str
    size: int

    def encode(self, texts: Sequence[str]) -> Matrix:
        """One row for each text. May wait for a model: never call it in an event loop's thread.

        Raises MillwrightError where the model is away.
        """
        ...


def unit(values: Sequence[float]) -> "array[float]":
    """The same direction with length 1; zeros stay zeros."""
    length = sqrt(fsum(value * value for value in values))
    return array("f", [value / length for value in values] if length else values)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two vectors of length 1."""
    return fsum(a * b for a, b in zip(one, other, strict=True))
