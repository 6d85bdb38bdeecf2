"""An opinion that does not flap: it changes after several equal results in a row, and not again at once."""

from dataclasses import dataclass


@dataclass(slots=True)
class Hysteresis:
    """``good`` is the opinion; None until the first one is formed.

    It becomes good after ``rise`` good results in a row and bad after ``fall`` bad ones, but never within
    ``hold`` seconds of the last change. The first good opinion needs one result only. Time comes in as monotonic
    seconds.
    """

    rise: int = 2
    fall: int = 3
    hold: float = 5.0
    good: bool | None = None
    streak: int = 0
    """Results in a row that speak against the opinion."""
    changed_at: float | None = None

    def take(self, result: bool, now: float) -> bool:
        """Whether this result changed the opinion."""
        if result is self.good:
            self.streak = 0
            return False
        if self.good is None and result:
            return self._turn(result, now)
        self.streak += 1
        held = self.changed_at is not None and now - self.changed_at < self.hold
        if held or self.streak < (self.rise if result else self.fall):
            return False
        return self._turn(result, now)

    @property
    def in_doubt(self) -> bool:
        """Whether the last result spoke against the opinion: ask again soon."""
        return self.good is None or self.streak > 0

    def _turn(self, result: bool, now: float) -> bool:
        self.good, self.streak, self.changed_at = result, 0, now
        return True
