"""Giving a device its account on the embedded broker, and taking it back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet

from appliance.accounts.domain import Ability, Role
from appliance.accounts.mqtt import forget, grant, grants
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.devices.broker import reload_broker, write_users
from appliance.devices.domain import (
    Account,
    check_commander,
    check_name,
    check_pattern,
    check_silence,
    default_patterns,
    hash_password,
    new_password,
)
from appliance.devices.errors import BrokerNotOurs, DeviceRefused, DeviceUnknown
from appliance.devices.models import Device, Presence
from appliance.devices.presence import SILENCE
from appliance.lib.config import Config, get_config
from appliance.safety.read_only import refuse_changes

_LOCK = 0x6D77_6465_76  # one writer of the accounts file at a time, in every process


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A device with its password, which is shown once. ``active`` once the broker knows it."""

    device: Device
    password: str
    active: bool


def list_devices(*, revoked: bool = False) -> QuerySet[Device]:
    """Devices by name; with those whose account was taken back if ``revoked``."""
    devices = Device.objects.order_by("name")
    return devices if revoked else devices.filter(revoked_at=None)


def add_device(
    name: str,
    principal: Principal,
    *,
    publish: Iterable[str] = (),
    subscribe: Iterable[str] = (),
    commands: Role | None = None,
    silence: timedelta = SILENCE,
    config: Config | None = None,
    now: datetime | None = None,
) -> NewAccount:
    """Make an account that may use ``devices/<name>/#`` and the given patterns.

    ``commands`` also grants it the right to give the box commands, as that role; only an administrator does that.
    It counts as offline after ``silence``. A revoked name may be used again; it gets a new password. Who manages some
    devices only gives them no topics but those on which they may publish themselves.

    Raises DeviceRefused, NotAllowed, BrokerNotOurs, ReadOnlyNow.
    """
    principal.require(Ability.MANAGE_DEVICES, device=name)
    refuse_changes(principal)
    config = _embedded(config)
    check_name(name)
    check_silence(silence)
    publish, subscribe = tuple(publish), tuple(subscribe)
    if not principal.can(Ability.MANAGE_DEVICES):
        for pattern in (*publish, *subscribe):
            principal.require(Ability.PUBLISH, topic=pattern)
    may_publish = [*default_patterns(name), *(check_pattern(p, publish=True) for p in publish)]
    may_subscribe = [*default_patterns(name), *(check_pattern(p, publish=False) for p in subscribe)]
    if commands is not None:
        check_commander(may_publish)
    password, now = new_password(), now or datetime.now(UTC)
    with transaction.atomic():
        _lock()
        if Device.objects.filter(name=name, revoked_at=None).exists():
            raise DeviceRefused(
                f"there is a device {name!r} already", hint="revoke it first for a new password"
            )
        device, _ = Device.objects.update_or_create(
            name=name,
            defaults={
                "username": name,
                "password_hash": hash_password(password),
                "publish": list(dict.fromkeys(may_publish)),
                "subscribe": list(dict.fromkeys(may_subscribe)),
                "silence_seconds": int(silence.total_seconds()),
                "created_at": now,
                "created_by": principal.name,
                "revoked_at": None,
            },
        )
        detail = {"publish": device.publish, "subscribe": device.subscribe}
        if commands is not None:
            grant(name, commands, principal, now)
        append_here("device.added", principal.name, f"device/{name}", detail)
    return NewAccount(device, password, write_accounts(config))


def set_silence(name: str, silence: timedelta, principal: Principal) -> None:
    """How long the device may be silent before it counts as offline.

    Raises DeviceRefused, DeviceUnknown, NotAllowed, ReadOnlyNow.
    """
    principal.require(Ability.MANAGE_DEVICES, device=name)
    refuse_changes(principal)
    check_silence(silence)
    with transaction.atomic():
        changed = Device.objects.filter(name=name, revoked_at=None).update(
            silence_seconds=int(silence.total_seconds())
        )
        if not changed:
            raise DeviceUnknown(f"no device {name[:60]!r} has an account", hint="see `devices list`")
        append_here("device.silence", principal.name, f"device/{name}", {"seconds": silence.total_seconds()})


def presences(names: Iterable[str]) -> dict[str, Presence]:
    """What is known of these devices' presence, by name; nothing of one that was never heard of."""
    return {row.name: row for row in Presence.objects.filter(name__in=list(names))}


def revoke_device(
    name: str, principal: Principal, *, config: Config | None = None, now: datetime | None = None
) -> bool:
    """Take the account back; the broker ends its connections. True if the broker has heard of it.

    Raises DeviceUnknown, NotAllowed, BrokerNotOurs, ReadOnlyNow.
    """
    principal.require(Ability.MANAGE_DEVICES, device=name)
    refuse_changes(principal)
    config = _embedded(config)
    with transaction.atomic():
        _lock()
        revoked = Device.objects.filter(name=name, revoked_at=None).update(
            revoked_at=now or datetime.now(UTC)
        )
        if not revoked:
            raise DeviceUnknown(f"no device {name[:60]!r} has an account", hint="see `devices list`")
        forget(name, principal)
        append_here("device.revoked", principal.name, f"device/{name}", {})
    return write_accounts(config)


def grant_commands(
    name: str,
    role: Role | None,
    principal: Principal,
    *,
    config: Config | None = None,
    now: datetime | None = None,
) -> bool:
    """Let a device give the box commands as ``role``, or no longer. True if the broker has heard of it.

    Raises DeviceUnknown, DeviceRefused, NotAllowed, GrantRefused, BrokerNotOurs.
    """
    principal.require(Ability.MANAGE_BOX)
    refuse_changes(principal)
    config = _embedded(config)
    with transaction.atomic():
        _lock()
        device = list_devices().filter(name=name).first()
        if device is None:
            raise DeviceUnknown(f"no device {name[:60]!r} has an account", hint="see `devices list`")
        if role is not None:
            check_commander(device.publish)
        grant(name, role, principal, now or datetime.now(UTC))
    return write_accounts(config)


def write_accounts(config: Config | None = None) -> bool:
    """Bring the broker's accounts in line with the database; True if a running broker was told.

    Also to be called at start, for the change that a crash kept from the file.
    """
    config = _embedded(config)
    folder = config.home.path / "nats"
    with transaction.atomic():
        _lock()
        granted = grants()
        accounts = [
            Account(
                device.username,
                device.password_hash,
                tuple(device.publish),
                tuple(device.subscribe),
                device.username in granted,
            )
            for device in list_devices()
        ]
        try:
            write_users(folder, accounts, config.home.id)
        except FileNotFoundError as error:
            raise BrokerNotOurs(
                f"the embedded broker has never been started in {config.home.path}", hint="run make up first"
            ) from error
    return reload_broker(folder)


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _embedded(config: Config | None) -> Config:
    config = config or get_config()
    if "nats" not in config.embedded:
        raise BrokerNotOurs(
            "MQTT_URL names a broker of your own",
            hint="give devices their accounts there, as its manual says",
        )
    return config
