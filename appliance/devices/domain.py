"""The rules of device accounts: names, topics, passwords, and the broker's configuration. No Django."""

import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import bcrypt

from appliance.bus.errors import TopicRefused
from appliance.bus.topics import check_filter, overlaps
from appliance.devices.errors import DeviceRefused
from appliance.devices.presence import LONGEST_SILENCE, SHORTEST_SILENCE
from appliance.lib.duration import format_duration

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
RESERVED_NAMES = frozenset({"box", "millwright", "admin", "nats", "reply", "root", "system"})

# Whatever else it may use: the box's own topics carry commands and the all-stop, the others are the broker's.
NEVER_PUBLISH = ("millwright/#", "$JS/#", "$SYS/#", "$MQTT/#", "$KV/#", "$O/#", "$G/#", "_INBOX/#", "$NRG/#")
NEVER_SUBSCRIBE = ("$JS/#", "$SYS/#", "$KV/#", "$O/#", "$G/#", "_INBOX/#", "$NRG/#")

# QoS 1 and 2 deliveries reach an MQTT client through subjects of its own below these.
_DELIVERY = ("$MQTT.sub.>", "$MQTT.deliver.pubrel.>")


@dataclass(frozen=True, slots=True)
class Account:
    """What the broker is told about a device."""

    username: str
    password_hash: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    commands: bool = False
    """Whether it may give the box commands."""


def check_name(name: str) -> str:
    """Give ``name`` back if a device may have it. Raises DeviceRefused."""
    if not _NAME.fullmatch(name):
        raise DeviceRefused(
            f"{name[:60]!r} cannot be a device's name",
            hint="small letters, digits, - and _, beginning with a letter or digit, at most 48",
        )
    if name in RESERVED_NAMES:
        raise DeviceRefused(f"the name {name!r} is reserved", hint="add what it is, as in press-box")
    return name


def check_pattern(pattern: str, *, publish: bool) -> str:
    """Give a topic pattern of an account back if it can be granted. Raises DeviceRefused."""
    try:
        check_filter(pattern)
    except TopicRefused as error:
        raise DeviceRefused(error.message, hint=error.hint) from error
    levels = pattern.split("/")
    if "" in levels or any(character in pattern for character in '.*>"\\') or pattern.startswith("$"):
        raise DeviceRefused(
            f"the pattern {pattern!r} cannot be granted",
            hint='no empty levels, no . * > " \\ and no leading $',
        )
    if publish and levels[0] not in ("+", "#") and overlaps(pattern, "millwright/#"):
        raise DeviceRefused(
            f"devices cannot publish under millwright/ ({pattern!r})", hint="use devices/<name>/# or plant/#"
        )
    return pattern


def check_silence(silence: timedelta) -> timedelta:
    """Give it back if a device may be silent for so long. Raises DeviceRefused."""
    if not SHORTEST_SILENCE <= silence <= LONGEST_SILENCE:
        raise DeviceRefused(
            f"a silence of {format_duration(silence)} cannot be watched",
            hint="between 5s and 30d, such as 5m",
        )
    return silence


def default_patterns(name: str) -> tuple[str, ...]:
    """What every device may use: its own corner."""
    return (f"devices/{name}/#",)


def new_password() -> str:
    """144 random bits, in characters that a person can type into a device's form."""
    return secrets.token_urlsafe(18)


def hash_password(password: str) -> str:
    """As NATS reads it (bcrypt, ``$2a$``).

    The lowest cost is enough for a password of 144 random bits, and a plant's devices that all reconnect at
    once do not keep the broker busy for minutes.
    """
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4, prefix=b"2a")).decode()


def subjects(pattern: str) -> tuple[str, ...]:
    """An MQTT filter as NATS subjects: ``a/#`` is ``a`` and ``a.>``."""
    subject = pattern.replace("/", ".").replace("+", "*")
    if subject == "#":
        return (">",)
    if subject.endswith(".#"):
        return (subject[:-2], f"{subject[:-1]}>")
    return (subject,)


def check_commander(publish: Iterable[str]) -> None:
    """Whether an account with these patterns can be let into the box's own topics. Raises DeviceRefused.

    NATS knows no exception from a refusal: such an account is not refused ``millwright/#``, it is only not
    granted it, and a pattern that begins with a wildcard would.
    """
    for pattern in publish:
        if pattern.split("/")[0] in ("+", "#"):
            raise DeviceRefused(
                f"an account with commands cannot publish to {pattern!r}",
                hint="name the first level, as in plant/#",
            )


def command_topics(box: str, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an account with commands may publish to, and read, beside its own patterns."""
    root = f"millwright/{box}/cmd/+"
    return (root, f"{root}/{name}"), (f"{root}/reply", f"{root}/{name}/reply")


def render_users(box: str, accounts: Iterable[Account], box_id: str = "") -> str:
    """The ``users`` of NATS's ``authorization``: the box's own entry as it stands, then the devices.

    JSON texts and lists are valid in NATS's configuration language.
    """
    lines = "".join(_entry(account, box_id) for account in accounts)
    return f"users = [\n{box.rstrip()}\n{lines}]\n"


def _entry(account: Account, box_id: str) -> str:
    to, replies = command_topics(box_id, account.username) if account.commands else ((), ())
    never = NEVER_PUBLISH[1:] if account.commands else NEVER_PUBLISH
    publish = {
        "allow": [s for pattern in (*account.publish, *to) for s in subjects(pattern)],
        "deny": [s for pattern in never for s in subjects(pattern)],
    }
    subscribe = {
        "allow": [*(s for pattern in (*account.subscribe, *replies) for s in subjects(pattern)), *_DELIVERY],
        "deny": [s for pattern in NEVER_SUBSCRIBE for s in subjects(pattern)],
    }
    return (
        f"  {{user: {json.dumps(account.username)}, password: {json.dumps(account.password_hash)}, "
        'allowed_connection_types: ["MQTT", "MQTT_WS"], '
        f"permissions: {{publish: {json.dumps(publish)}, subscribe: {json.dumps(subscribe)}}}}}\n"
    )
