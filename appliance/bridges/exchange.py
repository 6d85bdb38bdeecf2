"""A configuration file before it is taken over: what it would change; and the present configuration as such a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.bridges.models import Platform
from appliance.bridges.platforms import PlatformEntry, parse_platforms
from appliance.bridges.secrets import Lookup, resting_form, secrets_of, variable
from appliance.bridges.taking import same


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that would change; an empty text where there is none. Secrets stand as references."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What a file would do to one platform. ``change``: created, changed or unchanged.

    ``moved``: keys whose value would become a secret. ``unset``: variables that are named and not set here.
    ``revision``: of the row that was looked at, 0 for none.
    """

    name: str
    title: str
    change: str
    differences: tuple[Difference, ...]
    moved: tuple[str, ...]
    unset: tuple[str, ...]
    revision: int


def plan_platforms(text: str, lookup: Lookup = variable) -> list[Planned]:
    """What ``load_platforms`` would do with this text, entry by entry. Changes nothing. Raises PlatformsInvalid."""
    entries = parse_platforms(text)
    rows = Platform.objects.in_bulk([entry.name for entry in entries], field_name="name")
    return [_planned(entry, rows.get(entry.name), lookup) for entry in entries]


def _planned(entry: PlatformEntry, row: Platform | None, lookup: Lookup) -> Planned:
    config, literals = resting_form(entry.config, entry.name)
    change = "created" if row is None else "changed"
    if row is not None and same(row, entry, config, literals):
        change = "unchanged"
    before = {**row.config, "enabled": row.enabled} if row else {}
    after = {**config, "enabled": entry.config.enabled}
    unset = {one.variable for _, one in secrets_of(entry.config) if one.variable and not lookup(one.variable)}
    return Planned(
        name=entry.name,
        title=entry.factory.title,
        change=change,
        differences=() if change == "unchanged" else tuple(differences(before, after)),
        moved=tuple(literals),
        unset=tuple(sorted(unset)),
        revision=row.revision if row else 0,
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Every key in which two entries differ, apart from what they are called."""
    old, new = flat(before), flat(after)
    keys = [key for key in {**new, **old} if key not in ("name", "kind")]
    return [
        Difference(key, old.get(key, ""), new.get(key, "")) for key in keys if old.get(key) != new.get(key)
    ]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every key by its place, such as ``limit.per``, with its value as text."""
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[prefix + key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def export_platforms() -> str:
    """The present configuration as a file that loads again. It has references to secrets, never their values."""
    entries = [{**row.config, "enabled": row.enabled} for row in Platform.objects.all()]
    ordered = [
        {key: one[key] for key in sorted(one, key=lambda key: (key != "name", key != "kind"))}
        for one in entries
    ]
    for one in ordered:
        if one["enabled"]:
            del one["enabled"]
    return json.dumps({"platforms": ordered}, indent=2, ensure_ascii=False) + "\n"
