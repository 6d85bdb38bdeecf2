"""Takes an entry over: its secrets go to where secrets are kept, its row is made or changed, and it is on record."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import F
from pydantic import ValidationError

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.bridges.errors import PlatformMoved, PlatformsInvalid, Problem
from appliance.bridges.hints import platform_changed
from appliance.bridges.models import Platform
from appliance.bridges.platforms import PlatformEntry
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import (
    Lookup,
    adopt_variables,
    is_literal,
    mark,
    own_secret,
    resting_form,
    secrets_of,
)
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.lib.variables import VARIABLES
from appliance.safety.errors import SecretRefused
from appliance.safety.secrets import forget_secret, is_reference, keep_secret

_OWN_VARIABLES = frozenset(one.name for one in VARIABLES)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one entry. ``change``: created, changed or unchanged; ``note`` says what is missing.

    ``moved``: places whose value is a secret now; ``adopted``: variables whose values are.
    """

    name: str
    change: str
    note: str
    moved: tuple[str, ...] = ()
    adopted: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """What whoever gave the entry should know of its secrets, as sentences."""
        moved = (
            say(
                "the value of %(place)s was moved into the secrets; a file should say %(reference)s in its place",
                place=place,
                reference=f"secret:{own_secret(self.name, place)}",
            )
            for place in self.moved
        )
        adopted = (
            say("the value of the variable %(name)s is kept as a secret", name=one) for one in self.adopted
        )
        return (*moved, *adopted)


def take(
    entry: PlatformEntry,
    by: Principal,
    now: datetime,
    lookup: Lookup,
    *,
    typed: Collection[str] = (),
    revision: int | None = None,
) -> Loaded:
    """Within a transaction. Raises PlatformMoved, PlatformsInvalid, NotAllowed."""
    row = Platform.objects.select_for_update().filter(name=entry.name).first()
    if revision is not None and revision != (row.revision if row else 0):
        raise _moved(entry.name, row)
    config, literals = resting_form(entry.config, entry.name, typed)
    _look_at_references(entry, by, row, typed)
    fresh = _columns(entry)
    adopted = tuple(adopt_variables(entry.config, by, now, lookup, typed))
    moved, note = tuple(literals), entry.factory.unavailable
    if row and not adopted and same(row, entry, config, literals):
        return Loaded(entry.name, "unchanged", note, moved)
    for place, value in literals.items():
        try:
            keep_secret(own_secret(entry.name, place), value, by, now)
        except SecretRefused as error:
            raise PlatformsInvalid([Problem(place, error.message, hint=error.hint or "")]) from error
    if row is None:
        _create(entry.name, {**fresh, "config": config})
    else:
        Platform.objects.filter(pk=row.pk).update(
            config=config,
            revision=F("revision") + 1,
            health={},
            health_at=None,
            answered_at=None,
            deaf_since=None,
            updated_at=now,
            **fresh,
        )
        forget_own(row, by, keep=config)
    change = "changed" if row else "created"
    detail: JsonObject = {"kind": entry.factory.kind, "moved": list(moved), "adopted": list(adopted)}
    append_here(f"platform.{change}", by.name, f"platform/{entry.name}", detail)
    platform_changed(entry.name)
    return Loaded(entry.name, change, note, moved, adopted)


def same(row: Platform, entry: PlatformEntry, config: dict[str, Any], literals: Collection[str]) -> bool:
    """Whether the row says already what the entry says. ``config`` and ``literals`` are its resting form.

    The row has no literal secrets, so one that was given is compared by the keyed digest of the whole.
    """
    fresh = _columns(entry)
    digest = fresh.pop("digest")
    if any(getattr(row, key) != value for key, value in fresh.items()):
        return False
    return row.digest == digest or (not literals and _without_switch(config) == _without_switch(row.config))


def forget_own(row: Platform, by: Principal, keep: Any = None) -> list[str]:
    """Forget the secrets that were made for this platform and that ``keep`` names no more; gives their names."""
    gone = sorted(own_secrets(row) - set(_texts(keep)))
    for name in gone:
        forget_secret(name, by)
    return gone


def own_secrets(row: Platform) -> set[str]:
    """The named secrets that were made of what was typed for this platform."""
    return {own_secret(row.name, place) for place in _places(row)} & set(_texts(row.config))


def _places(row: Platform) -> list[str]:
    factory = bridges().get(row.kind)
    try:
        return (
            [place for place, _ in secrets_of(factory.config.model_validate(row.config))] if factory else []
        )
    except ValidationError:
        return []  # of another version: nobody knows which are its own


def _texts(value: Any) -> list[str]:
    """The names of all secrets that a configuration refers to."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, str) and is_reference(value):
        return [value.removeprefix("secret:")]
    return []


def _columns(entry: PlatformEntry) -> dict[str, Any]:
    webhook = str(getattr(entry.config, "webhook", None) or "")
    return {
        "kind": entry.factory.kind,
        "enabled": entry.config.enabled,
        "webhook_path": urlsplit(webhook).path if entry.factory.webhook else "",
        "digest": mark(entry.config.model_dump_json(exclude_unset=True)),
    }


def _without_switch(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("enabled", "kind")}


def _look_at_references(
    entry: PlatformEntry, by: Principal, row: Platform | None, typed: Collection[str]
) -> None:
    """A secret that was not made for this platform is for those who may use it; the box's own variables for nobody.

    One that the row names already was looked at when it came there.
    """
    known = set(_texts(row.config)) if row else set()
    problems = []
    for place, secret in secrets_of(entry.config):
        if is_literal(place, secret, typed):
            continue
        if secret.variable in _OWN_VARIABLES or (secret.variable or "").startswith("MILLWRIGHT_"):
            said = say(
                "%(name)s is a setting of the box itself, which goes to no platform", name=secret.variable
            )
            problems.append(Problem(place, said))
        named = secret.root.removeprefix("secret:") if is_reference(secret.root) else ""
        if named and named not in known and named != own_secret(entry.name, place):
            by.require(Ability.USE_SECRETS, secret=named)
    path = _columns(entry)["webhook_path"]
    other = Platform.objects.filter(webhook_path=path).exclude(name=entry.name).first() if path else None
    if other is not None:
        said = say("the platform %(name)s is called under this path already", name=other.name)
        problems.append(Problem("webhook", said))
    if problems:
        raise PlatformsInvalid(problems)


def _create(name: str, values: dict[str, Any]) -> None:
    try:
        with transaction.atomic():
            Platform.objects.create(name=name, **values)
    except IntegrityError as error:
        raise _moved(name, None) from error


def _moved(name: str, row: Platform | None) -> PlatformMoved:
    if row is None:
        said = say("%(name)s was removed or made by somebody else meanwhile", name=name)
    else:
        said = say("somebody else changed %(name)s meanwhile", name=name)
    return PlatformMoved(said, hint=say("look at what stands there now, and save again"))
