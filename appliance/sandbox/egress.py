"""Whether what runs in sandboxes may reach anything outside the box, as the all-stop has it."""

import logging

log = logging.getLogger(__name__)


class Egress:
    """The one place that guard tells of the levels from ``cut`` on.

    What Millwright itself sends is held by its senders, and a sandbox that runs is killed from ``kill`` on; this is
    where rules of the kernel are added to that.
    """

    def __init__(self) -> None:
        self.cut = False

    def set_cut(self, cut: bool) -> None:
        """Called again and again with how it is to be; only a change does anything."""
        if cut == self.cut:
            return
        self.cut = cut
        log.warning("egress is %s by the all-stop", "cut" if cut else "open again")
