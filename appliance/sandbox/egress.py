"""Whether what runs in sandboxes may reach anything, as the all-stop has it."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Egress:
    """The one place that guard tells of the levels from ``cut`` on.

    What Millwright itself sends is held by its senders, and a sandbox that runs is killed from ``kill`` on; the rules
    of the kernel come before that end, and hold what outlives it. ``tell`` sets them, and gives why it cannot.
    """

    def __init__(self, tell: Callable[[bool], str]) -> None:
        self._tell = tell
        self._wanted: bool | None = None  # what is pinned may be left of an earlier guard
        self._lacking = ""

    def set_cut(self, cut: bool) -> None:
        """Called again and again with how it is to be; only a change does anything."""
        if cut == self._wanted:
            return
        first, self._wanted = self._wanted is None, cut
        self._lacking = self._tell(cut)
        if cut and self._lacking:
            log.warning("egress of jobs is not cut by the all-stop: %s", self._lacking)
        elif cut or not first:
            log.warning("egress is %s by the all-stop", "cut" if cut else "open again")

    def state(self) -> dict[str, object]:
        """``cut``: whether it is in force; ``lacking``: why it is not, though it should be or could come to be."""
        return {"cut": bool(self._wanted) and not self._lacking, "lacking": self._lacking}
