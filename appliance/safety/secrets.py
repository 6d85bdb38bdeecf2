"""Named secrets: encrypted in the database with a key that is not in it, resolved where they are needed.

The root key file ``<home>/secrets/root_key`` holds one Fernet key a line, the newest first; older lines only
decrypt. A secret's name is sealed together with its value, so that rows cannot be swapped.
"""

import json
import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.lib.atomic import write_atomically
from appliance.lib.config import get_config
from appliance.lib.home import owner_of
from appliance.safety.errors import SecretMissing, SecretRefused, SecretUnreadable
from appliance.safety.models import Secret
from appliance.safety.read_only import refuse_changes
from appliance.safety.redaction import SHORTEST, redact

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

__all__ = [
    "is_reference",
    "keep_secret",
    "list_secrets",
    "redact",
    "remove_secret",
    "resolve",
    "resolve_async",
    "rotate",
    "seal",
    "secrets_after",
    "set_secret",
    "unseal",
]

PREFIX = "secret:"
LONGEST = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_READ = "SELECT token FROM safety_secret WHERE name = %s"


def is_reference(text: str) -> bool:
    """Whether a setting is ``secret:NAME`` rather than the value itself."""
    return text.startswith(PREFIX)


def set_secret(name: str, value: str, by: Principal, now: datetime, home: Path | None = None) -> None:
    """Keep ``value`` under ``name``, replacing what was there. Raises NotAllowed, SecretRefused, ReadOnlyNow."""
    by.require(Ability.MANAGE_SECRETS)
    keep_secret(name, value, by, now, home)


@transaction.atomic
def keep_secret(name: str, value: str, by: Principal, now: datetime, home: Path | None = None) -> None:
    """As ``set_secret``, for the area whose own setting it is: who may change that may change its password.

    Raises SecretRefused, ReadOnlyNow.
    """
    refuse_changes(by, home)
    if not _NAME.fullmatch(name):
        raise SecretRefused(
            f"{name!r} is no name for a secret", hint="letters, digits, _ . - and at most 100"
        )
    if not SHORTEST <= len(value) <= LONGEST:
        raise SecretRefused(f"a secret has {SHORTEST} to {LONGEST} characters", hint="it could not be masked")
    token = _box(home).encrypt(json.dumps([name, value]).encode())
    Secret.objects.update_or_create(
        name=name, defaults={"token": token, "updated_at": now, "updated_by": by.name}
    )
    append_here("secret.set", by.name, PREFIX + name, {})


@transaction.atomic
def remove_secret(name: str, by: Principal) -> None:
    """Raises NotAllowed, SecretMissing, ReadOnlyNow."""
    by.require(Ability.MANAGE_SECRETS)
    refuse_changes(by)
    if not Secret.objects.filter(name=name).delete()[0]:
        raise _missing(name)
    append_here("secret.removed", by.name, PREFIX + name, {})


def list_secrets() -> list[Secret]:
    """All of them, without their values."""
    return list(Secret.objects.defer("token"))


def secrets_after(name: str, limit: int) -> list[Secret]:
    """At most ``limit`` of them, in the order of their names and after ``name``, without their values."""
    return list(Secret.objects.defer("token").filter(name__gt=name)[:limit])


def resolve(text: str, home: Path | None = None) -> str:
    """The value behind ``secret:NAME``; any other text is itself. Raises SecretMissing, SecretUnreadable.

    Looked up each time: a replaced secret counts at once. Neither store nor log what comes back.
    """
    if not is_reference(text):
        return text
    name = text.removeprefix(PREFIX)
    row = Secret.objects.filter(name=name).values_list("token", flat=True).first()
    return _open(name, row, home)


async def resolve_async(connection: AsyncConnection[Any], text: str, home: Path | None = None) -> str:
    """As ``resolve``, on an asynchronous connection."""
    if not is_reference(text):
        return text
    name = text.removeprefix(PREFIX)
    cursor = await connection.cursor(row_factory=tuple_row).execute(_READ, (name,))
    row = await cursor.fetchone()
    return _open(name, row[0] if row else None, home)


@transaction.atomic
def rotate(by: Principal, home: Path | None = None) -> int:
    """Make a new root key and seal every secret with it; the old keys stay in the file for backups.

    Raises NotAllowed, ReadOnlyNow.
    """
    from cryptography.fernet import Fernet

    by.require(Ability.MANAGE_SECRETS)
    refuse_changes(by, home)
    file = _key_file(home)
    older = _keys(file)
    _write_keys(file, [Fernet.generate_key().decode(), *older])
    box = _box(home)
    rows = list(Secret.objects.select_for_update())
    for row in rows:
        row.token = box.rotate(bytes(row.token))
        row.save(update_fields=["token"])
    append_here("secret.rotated", by.name, "secret", {"secrets": len(rows)})
    return len(rows)


def seal(purpose: str, text: str, home: Path | None = None) -> str:
    """``text`` for a column of another area, so that the database alone does not give it away."""
    return _box(home).encrypt(json.dumps([purpose, text]).encode()).decode()


def unseal(purpose: str, token: str, home: Path | None = None) -> str:
    """What was sealed for this purpose. Raises SecretUnreadable."""
    from cryptography.fernet import InvalidToken

    try:
        sealed, text = json.loads(_box(home).decrypt(token.encode()))
    except (InvalidToken, ValueError) as error:
        raise SecretUnreadable(f"the root key does not open what was sealed for {purpose}") from error
    if sealed != purpose:
        raise SecretUnreadable(f"what was sealed for {sealed} does not serve for {purpose}")
    return str(text)


def _open(name: str, token: Any, home: Path | None) -> str:
    from cryptography.fernet import InvalidToken

    if token is None:
        raise _missing(name)
    try:
        sealed, value = json.loads(_box(home).decrypt(bytes(token)))
    except (InvalidToken, ValueError) as error:
        raise SecretUnreadable(
            f"the root key does not open the secret {name!r}", hint=f"manage.py secrets set {name}"
        ) from error
    if sealed != name:
        raise SecretUnreadable(f"the secret {name!r} was sealed under another name")
    return str(value)


def _missing(name: str) -> SecretMissing:
    return SecretMissing(f"there is no secret {name!r}", hint=f"manage.py secrets set {name}")


def _box(home: Path | None) -> "MultiFernet":
    from cryptography.fernet import Fernet, MultiFernet

    file = _key_file(home)
    keys = _keys(file)
    if not keys:
        keys = [Fernet.generate_key().decode()]
        _write_keys(file, keys)
    return MultiFernet([Fernet(key) for key in keys])


def _key_file(home: Path | None) -> Path:
    return (home or get_config().home.path) / "secrets" / "root_key"


def _keys(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []


def _write_keys(file: Path, keys: Iterable[str]) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomically(file, "".join(f"{key}\n" for key in keys).encode())
    if os.geteuid() == 0:
        os.chown(file, *owner_of(file.parent.parent))
