"""What one program may cost the others at ``/mcp``: how often, how many at once, how many sessions. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from webadmin.gateway.flow import Rate

LARGEST = 256 * 1024
"""Bytes of one request."""
MOST_OPEN = 16
"""Requests of one token that are being answered, streams among them."""
MOST_SESSIONS = 5
"""Of one token. A further one takes the place of the one that has rested longest."""
ALL_SESSIONS = 200
REMEMBERED = 60.0
IDLE = 600.0
"""Seconds without a request after which a session ends by itself."""


@dataclass
class Session:
    """A session as the door knows it; ``open`` counts its requests that are being answered."""

    key: str
    last: float
    open: int = 0


@dataclass
class Program:
    """One token that is at the door."""

    token_id: int
    seen: float
    rate: Rate = field(default_factory=Rate)
    open: int = 0
    sessions: dict[str, Session] = field(default_factory=dict)

    def forget_idle(self, now: float) -> None:
        """Those that have ended by themselves."""
        gone = [one.key for one in self.sessions.values() if not one.open and now - one.last >= IDLE]
        for key in gone:
            del self.sessions[key]

    def resting(self) -> Session | None:
        """The session that has rested longest, of those with nothing under way."""
        idle = [one for one in self.sessions.values() if not one.open]
        return min(idle, key=lambda one: one.last, default=None)

    @property
    def is_gone(self) -> bool:
        return not self.open and not self.sessions


class Programs:
    """Those that are at the door, by their token."""

    def __init__(self) -> None:
        self._known: dict[int, Program] = {}

    def of(self, token_id: int, now: float) -> Program:
        found = self._known.setdefault(token_id, Program(token_id, now))
        found.seen = now
        return found

    def __iter__(self) -> Iterator[Program]:
        return iter(list(self._known.values()))

    def tidy(self, now: float) -> None:
        """Nobody is remembered who has neither a session nor a request, and has not come for a while."""
        for one in self:
            one.forget_idle(now)
            if one.is_gone and now - one.seen >= REMEMBERED:
                del self._known[one.token_id]
