"""On whose authority something happens, as services take it and as rows keep it."""

from dataclasses import dataclass

from appliance.accounts.domain import Ability, Role, allowed, lower
from appliance.lib.errors import MillwrightError


class NotAllowed(MillwrightError):
    """The principal's role does not cover what was asked."""

    code = "accounts.not_allowed"


@dataclass(frozen=True, slots=True)
class Principal:
    """A name such as ``user:ana``, ``chat:telegram/4711`` or ``trigger:overheat/hot``, and its role."""

    name: str
    role: Role

    def can(self, ability: Ability) -> bool:
        return allowed(self.role, ability)

    def require(self, ability: Ability) -> None:
        """Raises NotAllowed."""
        if not self.can(ability):
            raise NotAllowed(
                f"{self.name} is {self.role}, and that is not enough to {ability.replace('_', ' ')}"
            )

    def limited_to(self, ceiling: Role) -> "Principal":
        return Principal(self.name, lower(self.role, ceiling))


BOX = Principal("box", Role.ADMIN)
"""The box itself: reconciler, housekeeping, loading of examples."""

CONSOLE = Principal("console", Role.ADMIN)
"""Whoever has a shell on the box and the right to read its home."""


def person_of(name: str) -> str | None:
    """The username behind a principal's name; None for triggers, devices and the box itself."""
    kind, _, rest = name.partition(":")
    if kind == "user":
        return rest
    return rest.partition("/")[0] if kind == "token" else None
