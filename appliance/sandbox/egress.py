"""Whether what runs in sandboxes may reach anything, as the all-stop has it."""

import logging
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

_NAMED = 5


class Egress:
    """The one place that guard tells of the levels from ``cut`` on.

    What Millwright itself sends is held by its senders, and a sandbox that runs is killed from ``kill`` on; the rules
    of the kernel come before that end, and hold what outlives it. ``tell`` sets them, and gives why it cannot.
    ``unwatched`` names the jobs that run without them, which nothing cuts.
    """

    def __init__(self, tell: Callable[[bool], str], unwatched: Callable[[], Sequence[str]] = tuple) -> None:
        self._tell = tell
        self._unwatched = unwatched
        self._wanted: bool | None = None  # what is pinned may be left of an earlier guard
        self._lacking = ""

    def set_cut(self, cut: bool) -> None:
        """Called again and again with how it is to be; only a change does anything, and is tried until it is done."""
        if cut == self._wanted:
            return
        before, self._lacking = self._lacking, self._tell(cut)
        if self._lacking:
            if cut and self._lacking != before:
                log.warning("egress of jobs is not cut by the all-stop: %s", self._lacking)
            return
        first, self._wanted = self._wanted is None, cut
        if cut or not first:
            log.warning("egress is %s by the all-stop", "cut" if cut else "open again")

    def state(self) -> dict[str, object]:
        """``cut``: whether it is in force for all that runs; ``lacking``: why it is not, though it should be or could
        come to be."""
        lacking = self._lacking or _without(self._unwatched())
        return {"cut": bool(self._wanted) and not lacking, "lacking": lacking}


def _without(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"without them run {'; '.join(names[:_NAMED])}{more}"
