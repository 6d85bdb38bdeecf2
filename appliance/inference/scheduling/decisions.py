"""What the keeper decided lately, and why: kept as long as it lives, for whoever looks."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appliance.inference.leases import Decided, Outcome, Wish
from appliance.lib.clock import Clock

MOST = 60
_LONGEST, _MOST_REJECTED = 300, 10


@dataclass(slots=True)
class Decisions:
    """The last ones, the newest first."""

    clock: Clock
    _kept: deque[Decided] = field(default_factory=lambda: deque(maxlen=MOST))

    def __iter__(self) -> Iterator[Decided]:
        return reversed(self._kept)

    def about(
        self,
        wish: Wish,
        outcome: Outcome,
        reason: str,
        *,
        model: str = "",
        rejected: Mapping[str, str] | None = None,
    ) -> None:
        """What became of one who asked. ``rejected``: why not each of the others."""
        others = tuple((name, why[:_LONGEST]) for name, why in (rejected or {}).items())
        self._add(outcome, model or wish.model, reason, wish.principal, wish.work.value, others)

    def evicted(self, model: str, reason: str) -> None:
        self._add(Outcome.EVICTED, model, reason)

    def _add(
        self,
        outcome: Outcome,
        model: str,
        reason: str,
        principal: str = "",
        work: str = "",
        rejected: tuple[tuple[str, str], ...] = (),
    ) -> None:
        made = Decided(
            at=self.clock.now(),
            outcome=outcome,
            model=model,
            reason=reason[:_LONGEST],
            principal=principal,
            work=work,
            rejected=rejected[:_MOST_REJECTED],
        )
        same = next((one for one in self if _key(one) == _key(made)), None)
        if same is not None:
            self._kept.remove(same)
            made = made.model_copy(update={"times": same.times + 1})
        self._kept.append(made)


def _key(one: Decided) -> tuple[str, ...]:
    """Of two that say the same about the same one is enough."""
    return (one.outcome.value, one.model, one.reason, one.principal, one.work)
