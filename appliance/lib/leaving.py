"""A process that is about to stop, told to those who have something under way in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Leaving:
    """Said once, for all. Not an event of asyncio's: whoever listens needs no task of its own for it."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []
        self._said = False

    @property
    def is_said(self) -> bool:
        return self._said

    def say(self) -> None:
        self._said = True
        for call in [*self._calls]:
            call()

    @contextmanager
    def heard_by(self, call: Callable[[], None]) -> Iterator[None]:
        """``call`` is made when it is said, or at once where it has been. It must not fail."""
        self._calls.append(call)
        try:
            if self._said:
                call()
            yield
        finally:
            self._calls.remove(call)
