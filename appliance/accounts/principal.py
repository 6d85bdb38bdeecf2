"""On whose authority something happens, as services take it and as rows keep it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Unpack

from appliance.accounts.domain import Ability, Role, allowed, lower
from appliance.accounts.grants import Grant, On, concerning
from appliance.accounts.words import ABILITIES, ROLES
from appliance.lib.errors import MillwrightError
from appliance.lib.said import say


class NotAllowed(MillwrightError):
    """The principal's role does not cover what was asked."""

    code = "accounts.not_allowed"


@dataclass(frozen=True, slots=True)
class Principal:
    """A name such as ``user:ana``, ``chat:telegram/4711`` or ``trigger:overheat/hot``, and its role.

    ``grants`` raise the role for some tasks, topics, devices and secrets. ``scopes`` are all that a token may do,
    None: no such limit. ``issuer`` made the token that it is (``hand_of``, or UNKNOWN); empty for all else.
    """

    name: str
    role: Role
    grants: tuple[Grant, ...] = ()
    scopes: frozenset[Ability] | None = None
    issuer: str = ""

    def role_on(self, **on: Unpack[On]) -> Role:
        """The role for this task, topic, device or secret; without one, the role everywhere."""
        reaching = (grant.role for grant in self.grants if grant.reaches(on))
        return max((self.role, *reaching), key=lambda role: role.rank)

    def can(self, ability: Ability, **on: Unpack[On]) -> bool:
        """Whether this may be done to this task or topic; without one, whether it may be done to all."""
        if self.scopes is not None and ability not in self.scopes:
            return False
        return allowed(self.role_on(**concerning(ability, on)), ability)

    def can_somewhere(self, ability: Ability) -> bool:
        """Whether there may be something for it: a door that leads to a service, which then asks about the very
        one."""
        if self.can(ability):
            return True
        granted = {grant.role for grant in self.grants if grant.is_about(ability)}
        own = self.scopes is None or ability in self.scopes
        return own and any(allowed(role, ability) for role in granted)

    def require(self, ability: Ability, **on: Unpack[On]) -> None:
        """Raises NotAllowed."""
        if self.can(ability, **on):
            return
        what = ABILITIES[ability]
        if self.scopes is not None and ability not in self.scopes:
            raise NotAllowed(say("%(who)s has no right to %(what)s", who=self.name, what=what))
        named = next((name for name in on.values() if name), None)
        role = ROLES[self.role_on(**on)]
        said = (
            say(
                "%(who)s is %(role)s on %(named)s, and that is not enough to %(what)s",
                who=self.name,
                role=role,
                named=named,
                what=what,
            )
            if named
            else say(
                "%(who)s is %(role)s, and that is not enough to %(what)s",
                who=self.name,
                role=role,
                what=what,
            )
        )
        raise NotAllowed(said)

    def limited_to(self, ceiling: Role) -> "Principal":
        """No more than ``ceiling``, on anything."""
        grants = tuple(replace(grant, role=lower(grant.role, ceiling)) for grant in self.grants)
        return replace(self, role=lower(self.role, ceiling), grants=grants)

    def limited_to_scopes(self, scopes: Iterable[Ability]) -> "Principal":
        return replace(self, scopes=frozenset(scopes))


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


def is_person(name: str) -> bool:
    """Whether a person acts by their own hand, and not by a token of theirs."""
    return name.startswith("user:")


UNKNOWN = "?"
"""In the place of an issuer's name: one whom nobody wrote down. No person is called so."""


def hand_of(name: str) -> str:
    """Who acts under a principal's name: the person behind it, or the name itself where it is nobody's."""
    return person_of(name) or name
