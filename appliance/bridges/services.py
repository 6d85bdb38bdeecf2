"""Platforms, for screens and commands. Beside it: ``identities`` (who may chat) and ``chats`` (webchat)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import F
from pydantic import ValidationError

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.bridges.errors import PlatformsInvalid, PlatformUnknown, Problem
from appliance.bridges.hints import platform_changed
from appliance.bridges.models import Platform
from appliance.bridges.mutes import forget_mutes
from appliance.bridges.platforms import PlatformEntry, parse_entry, parse_platforms
from appliance.bridges.ports import ProbeState
from appliance.bridges.quiet import QuietHours
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import Lookup, Secret, adopt_variables, keep_literals, mark, variable
from appliance.lib.identity import uuid7
from appliance.lib.said import say
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import Open, counts, enqueue_now
from appliance.safety.read_only import refuse_changes

NOTHING = Open(0, 0)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of one entry. ``change``: created, changed or unchanged; ``note`` says what is missing."""

    name: str
    change: str
    note: str


@dataclass(frozen=True, slots=True)
class PlatformView:
    """A platform for the overview and its page. ``waiting`` and ``held`` count its open outbox items; ``quiet`` are
    its quiet hours."""

    name: str
    kind: str
    title: str
    enabled: bool
    available: bool
    state: ProbeState
    message: str
    identity: str
    default_conversation: str
    waiting: int
    checked_at: datetime | None
    config: Mapping[str, Any]
    held: int = 0
    quiet: QuietHours | None = None

    def quiet_until(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which it is now; None where it is in none."""
        return self.quiet.until(now) if self.quiet and self.enabled else None


def load_platforms(
    source: Path | str, by: Principal, now: datetime, lookup: Lookup = variable
) -> list[Loaded]:
    """Take over every entry of a configuration file (or its text); other platforms stay as they are.

    Raises PlatformsInvalid with all problems, NotAllowed, or ReadOnlyNow; then nothing was changed.
    """
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    if isinstance(source, Path):
        try:
            text, name = source.read_text("utf-8-sig"), str(source)
        except OSError as error:
            raise PlatformsInvalid([Problem("", f"cannot be read: {error.strerror}")], str(source)) from error
        except UnicodeDecodeError as error:
            raise PlatformsInvalid([Problem("", "is not UTF-8 text")], str(source)) from error
    else:
        text, name = source, ""
    entries = parse_platforms(text, name)
    with transaction.atomic():
        return [_take(entry, by, now, lookup) for entry in entries]


def save_platform(
    values: Mapping[str, Any], by: Principal, now: datetime, *, default_conversation: str | None = None
) -> Loaded:
    """Create or change one platform from a form's values (``name`` among them).

    An empty secret keeps the stored one; any other empty value removes its key. Raises NotAllowed,
    PlatformsInvalid, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    with transaction.atomic():
        row = Platform.objects.select_for_update().filter(name=str(values.get("name", ""))).first()
        entry = parse_entry(_merged(row.config if row else {}, values))
        loaded = _take(entry, by, now, variable)
        if default_conversation is not None:
            Platform.objects.filter(name=entry.name).update(default_conversation=default_conversation[:200])
            platform_changed(entry.name)
        return loaded


def _merged(stored: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(stored)
    factory = bridges().get(str(values.get("kind") or values.get("name")))
    fields = factory.config.model_fields if factory else {}
    for key, value in values.items():
        if value not in ("", None):
            merged[key] = value
        elif key not in fields or fields[key].annotation is not Secret:
            merged.pop(key, None)
    return merged


def _take(entry: PlatformEntry, by: Principal, now: datetime, lookup: Lookup) -> Loaded:
    row = Platform.objects.select_for_update().filter(name=entry.name).first()
    factory = entry.factory
    webhook = str(getattr(entry.config, "webhook", None) or "")
    fresh = {
        "kind": factory.kind,
        "enabled": entry.config.enabled,
        "webhook_path": urlsplit(webhook).path if factory.webhook else "",
    }
    # The kept form has no literal secrets, so what was given is compared by its keyed digest.
    fresh["digest"] = mark(entry.config.model_dump_json(exclude_unset=True))
    adopted = adopt_variables(entry.config, by, now, lookup)
    if row and not adopted and all(getattr(row, key) == fresh[key] for key in fresh):
        return Loaded(entry.name, "unchanged", factory.unavailable)
    config = keep_literals(entry.config, entry.name, by, now)
    if row is None:
        Platform.objects.create(name=entry.name, config=config, **fresh)
        change = "created"
    else:
        Platform.objects.filter(pk=row.pk).update(
            config=config,
            revision=F("revision") + 1,
            health={},
            health_at=None,
            answered_at=None,
            deaf_since=None,
            **fresh,
        )
        change = "changed"
    append_here(f"platform.{change}", by.name, f"platform/{entry.name}", {"kind": factory.kind})
    platform_changed(entry.name)
    return Loaded(entry.name, change, factory.unavailable)


def set_enabled(name: str, enabled: bool, by: Principal) -> None:
    """Switch a platform on or off. Raises NotAllowed, PlatformUnknown, ReadOnlyNow."""
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    with transaction.atomic():
        if not Platform.objects.filter(name=name).update(enabled=enabled, revision=F("revision") + 1):
            raise PlatformUnknown(f"there is no platform named {name!r}")
        append_here("platform.enabled" if enabled else "platform.disabled", by.name, f"platform/{name}", {})
        platform_changed(name)


def remove_platform(name: str, by: Principal) -> None:
    """Forget a platform and its secrets; what waits for it stays until it expires.

    Raises NotAllowed, PlatformUnknown, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    with transaction.atomic():
        deleted, _ = Platform.objects.filter(name=name).delete()
        if not deleted:
            raise PlatformUnknown(f"there is no platform named {name!r}")
        forget_mutes(name)
        append_here("platform.removed", by.name, f"platform/{name}", {})
        platform_changed(name)


def platforms() -> list[PlatformView]:
    """Every configured platform and those that are always there, with what is known of their health."""
    waiting = counts()
    views = [_view(row, waiting) for row in Platform.objects.all()]
    configured = {view.name for view in views}
    for factory in bridges().values():
        if factory.builtin and factory.shown and factory.kind not in configured:
            views.append(
                PlatformView(
                    factory.kind, factory.kind, factory.title, True, True, ProbeState.OK, "", "", "",
                    waiting.get(factory.kind, NOTHING).waiting, None, {}, waiting.get(factory.kind, NOTHING).held,
                )
            )  # fmt: skip
    return sorted(views, key=lambda view: view.name)


def platform_names() -> frozenset[str]:
    """What a message can name: every configured platform, and those that are always there."""
    builtin = frozenset(factory.kind for factory in bridges().values() if factory.builtin)
    return builtin | frozenset(Platform.objects.values_list("name", flat=True))


def platform(name: str) -> PlatformView:
    """One platform. Raises PlatformUnknown."""
    for view in platforms():
        if view.name == name:
            return view
    raise PlatformUnknown(f"there is no platform named {name!r}")


def _view(row: Platform, waiting: Mapping[str, Open]) -> PlatformView:
    factory = bridges().get(row.kind)
    available = factory is not None and factory.build is not None
    if not available:
        state = ProbeState.UNAVAILABLE
        message = factory.unavailable if factory else say("this version has no such bridge")
    else:
        state = ProbeState(row.health.get("state", ProbeState.WAITING))
        message = row.health.get("message", say("not asked yet"))
    return PlatformView(
        name=row.name,
        kind=row.kind,
        title=factory.title if factory else row.kind,
        enabled=row.enabled,
        available=available,
        state=state,
        message=message,
        identity=row.health.get("identity", ""),
        default_conversation=row.default_conversation,
        waiting=waiting.get(row.name, NOTHING).waiting,
        checked_at=row.health_at,
        config=row.config,
        held=waiting.get(row.name, NOTHING).held,
        quiet=_quiet(row.config),
    )


def _quiet(config: Mapping[str, Any]) -> QuietHours | None:
    """Of a stored configuration, which may be of another version."""
    try:
        return QuietHours.model_validate(config["quiet"]) if config.get("quiet") else None
    except ValidationError:
        return None


def send_test(name: str, text: str, now: datetime) -> UUID:
    """Put a test message into the outbox; its row tells what came of it. Raises PlatformUnknown."""
    platform(name)
    identifier = uuid7()
    return enqueue_now(OutboxItem(f"test/{identifier}", name, {"text": text}, at=now, priority=10))
