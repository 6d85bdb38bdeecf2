"""Platforms, for screens and commands. Beside it: ``identities`` (who may chat) and ``chats`` (webchat)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
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
from appliance.bridges.platforms import parse_entry, parse_platforms
from appliance.bridges.ports import ProbeState
from appliance.bridges.quiet import QuietHours
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import Lookup, variable
from appliance.bridges.taking import Loaded, forget_own, take
from appliance.lib.identity import uuid7
from appliance.lib.said import say
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import Open, counts, enqueue_now
from appliance.safety.read_only import refuse_changes

NOTHING = Open(0, 0)


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
    """As it rests: with references, never values."""
    revision: int = 0
    """0: there is one without any configuration."""
    updated_at: datetime | None = None
    round_trip_ms: float | None = None
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
            text, name = text_of(source.read_bytes(), str(source)), str(source)
        except OSError as error:
            said = say("cannot be read: %(why)s", why=error.strerror)
            raise PlatformsInvalid([Problem("", said)], str(source)) from error
    else:
        text, name = source, ""
    entries = parse_platforms(text, name)
    with transaction.atomic():
        return [take(entry, by, now, lookup) for entry in entries]


def text_of(content: bytes, source: str = "") -> str:
    """What a file says. Raises PlatformsInvalid."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlatformsInvalid([Problem("", say("is not UTF-8 text"))], source) from error


def save_platform(
    values: Mapping[str, Any],
    by: Principal,
    now: datetime,
    *,
    typed: Collection[str] = (),
    revision: int | None = None,
) -> Loaded:
    """Create or change one platform: ``values`` is its whole entry, as a file has it.

    ``typed``: places of secrets (``auth.app_secret``) whose text is the value, even if it looks like a variable's name.
    ``revision``: of the row that the change was made on, 0 for none; without it the last one to save wins.
    Raises NotAllowed, PlatformsInvalid, PlatformMoved, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    entry = parse_entry(dict(values))
    with transaction.atomic():
        return take(entry, by, now, variable, typed=typed, revision=revision)


def set_enabled(name: str, enabled: bool, by: Principal) -> None:
    """Switch a platform on or off. Raises NotAllowed, PlatformUnknown, ReadOnlyNow."""
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    with transaction.atomic():
        if not Platform.objects.filter(name=name).update(enabled=enabled, revision=F("revision") + 1):
            raise _unknown(name)
        append_here("platform.enabled" if enabled else "platform.disabled", by.name, f"platform/{name}", {})
        platform_changed(name)


def remove_platform(name: str, by: Principal) -> None:
    """Forget a platform and the secrets that were made for it; what waits for it stays until it expires.

    Raises NotAllowed, PlatformUnknown, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    with transaction.atomic():
        row = Platform.objects.select_for_update().filter(name=name).first()
        if row is None:
            raise _unknown(name)
        gone = forget_own(row, by)
        row.delete()
        forget_mutes(name)
        append_here(
            "platform.removed", by.name, f"platform/{name}", {"kind": row.kind, "secrets": list(gone)}
        )
        platform_changed(name)


def _unknown(name: str) -> PlatformUnknown:
    return PlatformUnknown(say("there is no platform named %(name)r", name=name[:64]))


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
    raise _unknown(name)


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
        config={**row.config, "enabled": row.enabled},
        revision=row.revision,
        updated_at=row.updated_at,
        round_trip_ms=row.health.get("round_trip_ms"),
        held=waiting.get(row.name, NOTHING).held,
        quiet=_quiet(row.config),
    )


def _quiet(config: Mapping[str, Any]) -> QuietHours | None:
    """Of a stored configuration, which may be of another version."""
    try:
        return QuietHours.model_validate(config["quiet"]) if config.get("quiet") else None
    except ValidationError:
        return None


def send_test(name: str, text: str, by: Principal, now: datetime) -> UUID:
    """Put a test message into the outbox; its row tells what came of it.

    Raises NotAllowed, PlatformUnknown, ReadOnlyNow.
    """
    by.require(Ability.MANAGE_BRIDGES)
    refuse_changes(by)
    platform(name)
    identifier = uuid7()
    with transaction.atomic():
        append_here("platform.tested", by.name, f"platform/{name}", {})
        return enqueue_now(OutboxItem(f"test/{identifier}", name, {"text": text}, at=now, priority=10))
