"""What keeps a container to the addresses that its step names. Without it no step that names any is run.

The template ``net`` alone reaches the containers of the box's own network and nothing else: that is the engine's
doing. An address beyond needs a network with a way out, and rules of the kernel for just this container.
"""

from collections.abc import Sequence
from typing import Protocol

DESTINATION = r"(?:\[[0-9A-Fa-f:]{2,39}(?:/\d{1,3})?\]|[A-Za-z0-9.-]{1,253}(?:/\d{1,2})?):[1-9]\d{0,4}"
"""``host:port``: a name, an address or a range of addresses (10.0.0.0/24, [fd00::/8]), and a TCP or UDP port."""


class EgressRules(Protocol):
    """Rules of the kernel for one container's way out."""

    def lacking(self) -> str:
        """Why none can be kept on this machine, as the end of a sentence; empty where they can."""
        ...

    async def confine(self, pid: int, allowed: Sequence[str]) -> None:
        """Let all that runs where process ``pid`` does reach ``allowed`` (see DESTINATION) and nothing else.

        Called while the container waits and nothing of the job has run. Returns when the rules hold; they end
        with the container. Raises SandboxUnavailable: then the job is not begun.
        """
        ...


class NoRules:
    """A machine without such rules."""

    def lacking(self) -> str:
        return "this version has no rules of the kernel that would keep a container to them"

    async def confine(self, pid: int, allowed: Sequence[str]) -> None:
        raise NotImplementedError(self.lacking())
