"""Below which identifier every occurrence has its run: where a new reactor begins to look for what is missing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from appliance.lib.identity import uuid_floor

_MARGIN = timedelta(minutes=1)
_LOOK_EVERY = timedelta(seconds=1)


class Horizon:
    """The lowest occurrence in the air; looked for anew once a second only."""

    def __init__(self, now: datetime) -> None:
        self._lowest: UUID | None = None
        self._looked_at = now

    def below(self, aloft: Mapping[UUID, object], launched: Sequence[UUID], now: datetime) -> UUID:
        """The identifier, once a commit stands that puts ``launched`` on record beside what is ``aloft``."""
        if now - self._looked_at > _LOOK_EVERY:
            self._lowest, self._looked_at = None, now
        if self._lowest is None:
            self._lowest = _least(aloft)
        first = _least(launched)
        if first is not None and (self._lowest is None or first < self._lowest):
            self._lowest = first
        floor = uuid_floor(now - _MARGIN)
        return floor if self._lowest is None else min(self._lowest, floor)


def _least(identifiers: Iterable[UUID]) -> UUID | None:
    return min(identifiers, default=None)
