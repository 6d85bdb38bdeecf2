"""Answers that are remembered for a moment. Only those that change nothing may come here."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from appliance.agent.router.domain import Effect, Intent

KEPT_FOR = 2.0
"""Seconds: long enough for a group that asks the same at once, too short to be wrong for long."""
MOST = 256
T = TypeVar("T")


class AnswerCache(Generic[T]):
    """By intent, slots, who asks, and the revision of what there is: nobody sees the answer to somebody else."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[object, tuple[float, T]] = {}

    def get(
        self,
        intent: Intent,
        slots: Mapping[str, str],
        principal: str,
        revision: object,
        make: Callable[[], T],
    ) -> T:
        """The answer that is there, or a new one. What changes something is made each time."""
        if intent.effect is not Effect.READ:
            return make()
        key = (intent.id, tuple(sorted(slots.items())), principal, revision)
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < KEPT_FOR:
            return kept[1]
        answer = make()
        if len(self._kept) >= MOST:
            self._kept = {one: found for one, found in self._kept.items() if now - found[0] < KEPT_FOR}
        if len(self._kept) < MOST:
            self._kept[key] = (now, answer)
        return answer
