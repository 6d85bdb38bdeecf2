"""What a stop of level ``cut`` has cut: said with the stop, so that nobody takes more for cut than is."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.lib.config import Config, KernelRulesMode
from appliance.processes.guard.presence import ask, rules_absence

PATIENCE = 1.0
"""Seconds in which guard must have heard of the stop: it looks ten times a second."""
_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Cut:
    """``commands``: whether the kernel lets nothing leave what still runs in sandboxes; ``reason``, why it does not.

    What the box itself sends is held by its senders, which look at the same switch before each message.
    """

    commands: bool
    reason: str = ""

    @property
    def said(self) -> str:
        """One sentence."""
        if self.commands:
            return (
                "Cut: what the box sends, and by the kernel's rules the network of commands and containers."
            )
        return (
            "Cut: what the box sends. Not cut: the network of commands and containers that still run; "
            f"they are killed, and no new one begins. The kernel's rules: {self.reason}."
        )


def what_is_cut(
    config: Config, *, patience: float = PATIENCE, sleep: Callable[[float], None] = time.sleep
) -> Cut:
    """As guard tells it. Waits at most ``patience`` seconds for it to have heard of a stop that is fresh."""
    if config.kernel_rules is KernelRulesMode.OFF:
        return Cut(False, rules_absence(config))
    until = time.monotonic() + patience
    while True:
        found = _told(config)
        if found.commands or found.reason or time.monotonic() >= until:
            return found if found.commands or found.reason else Cut(False, "guard has not heard of the stop")
        sleep(_LOOK)


def _told(config: Config) -> Cut:
    """Neither cut nor a reason: not yet."""
    try:
        egress = ask(config.home.guard_socket).get("egress")
    except (OSError, ValueError):
        # Of a box that root started, only guard can tell why it has none.
        absent = "" if config.home.path.stat().st_uid == 0 else rules_absence(config)
        return Cut(False, absent or "guard does not answer")
    told = egress if isinstance(egress, dict) else {}
    return Cut(told.get("cut") is True, str(told.get("lacking") or ""))
