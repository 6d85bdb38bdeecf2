"""Which events a token may see: those of its person, within its scopes. Pure."""

from collections.abc import Iterable

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.events.catalogue import CATALOGUE, OF_CONVERSATIONS, AccountChanged, AuditAlert
from appliance.events.journal import Entry
from webadmin.gateway.errors import TopicUnknown
from webadmin.visible import visible_to

NEEDED = {
    AuditAlert.type: Ability.VIEW_AUDIT,
    AccountChanged.type: Ability.MANAGE_USERS,
    **dict.fromkeys(OF_CONVERSATIONS, Ability.CHAT),
}
"""What an event needs beside ``view``: as the pages that show the same."""


def granted(principal: Principal, patterns: Iterable[str]) -> tuple[frozenset[str], list[str]]:
    """The types that come, and of those that were asked for the ones that the token may not see.

    Raises TopicUnknown.
    """
    wanted = {name for pattern in patterns for name in _types(pattern)}
    seen = frozenset(name for name in wanted if _may(principal, name))
    return seen, sorted(wanted - seen)


def _types(pattern: str) -> list[str]:
    head, star, tail = pattern.partition("*")
    found = [name for name in CATALOGUE if name.startswith(head)] if star else [pattern]
    if tail or not found or found[0] not in CATALOGUE or (head and star and not head.endswith(".")):
        raise TopicUnknown(
            f"there are no events {pattern[:100]!r}",
            hint=f"one of {', '.join(sorted(CATALOGUE))}; run.*; or *",
        )
    return found


def _may(principal: Principal, name: str, entry: Entry | None = None) -> bool:
    data = entry.data if entry else {}
    task, device = (str(data[key]) if data.get(key) else None for key in ("task", "device"))
    needed = {Ability.VIEW, NEEDED.get(name, Ability.VIEW)}
    return all(principal.can(ability, task=task, device=device) for ability in needed)


def seen_by(
    principal: Principal, username: str, topics: frozenset[str], entries: Iterable[Entry]
) -> list[Entry]:
    """The entries of these topics that may be sent, in order. Of conversations only the person's own."""
    wanted = [entry for entry in entries if entry.type in topics and _may(principal, entry.type, entry)]
    return visible_to(username, wanted)
