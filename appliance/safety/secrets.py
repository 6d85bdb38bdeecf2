"""Named secrets: encrypted in the database with a key that is not in it, resolved where they are needed.

The root key file holds one key a line, the newest first; older lines only open (see ``envelope``). It is
``<home>/secrets/root_key``, or the one that ``MILLWRIGHT_ROOT_KEY_FILE`` or a systemd credential names. A secret's
name is sealed together with its value, so that rows cannot be swapped.
"""

import base64
import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.lib.atomic import write_atomically
from appliance.lib.config import get_config
from appliance.lib.home import owner_of
from appliance.lib.masking import KNOWN, SHORTEST, redact
from appliance.safety.errors import NotOpened, SecretMissing, SecretRefused, SecretUnreadable
from appliance.safety.models import Secret
from appliance.safety.read_only import refuse_changes
from appliance.safety.references import NAME, PREFIX, is_reference

if TYPE_CHECKING:
    from appliance.safety.envelope import Ring

__all__ = [
    "forget_secret",
    "is_reference",
    "keep_secret",
    "list_secrets",
    "mask_all",
    "mask_now",
    "new_key",
    "redact",
    "remove_secret",
    "require_known",
    "resolve",
    "resolve_async",
    "rotate",
    "seal",
    "secrets_after",
    "set_secret",
    "unseal",
]

LONGEST = 16 * 1024
_NAME = re.compile(NAME)
_STAMP = "SELECT count(*), max(updated_at) FROM safety_secret"
_ALL = "SELECT name, token FROM safety_secret"
_READ = "SELECT token FROM safety_secret WHERE name = %s"


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
    KNOWN.learn(value)
    token = _ring(home).seal(name, value)
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


@transaction.atomic
def forget_secret(name: str, by: Principal) -> None:
    """As ``remove_secret``, for the area whose own setting it was; nothing where there is none. Raises ReadOnlyNow."""
    refuse_changes(by)
    if Secret.objects.filter(name=name).delete()[0]:
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


def require_known(text: str) -> None:
    """For a setting that names one: that there is such a secret; any other text is none. Raises SecretMissing."""
    name = text.removeprefix(PREFIX)
    if is_reference(text) and not Secret.objects.filter(name=name).exists():
        raise _missing(name)


async def mask_all(db: AsyncConnection[Any], stamp: object = None) -> object:
    """Have this process mask every secret that the box keeps; gives a stamp that says whether any has changed.

    One small statement where the stamp is still right. What cannot be opened is not masked: nobody here can know it.
    """
    cursor = db.cursor(row_factory=tuple_row)
    row = await (await cursor.execute(_STAMP)).fetchone()
    if row != stamp:
        _know(await (await cursor.execute(_ALL)).fetchall())
    return row


def mask_now(stamp: object = None) -> object:
    """As ``mask_all``, on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(_STAMP)
        row: object = cursor.fetchone()
        if row != stamp:
            cursor.execute(_ALL)
            _know(cursor.fetchall())
    return row


def _know(rows: Iterable[Sequence[Any]]) -> None:
    known = []
    for name, token in rows:
        with contextlib.suppress(SecretUnreadable):
            known.append(_open(name, token, None))
    KNOWN.know(known)


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
    """Seal every secret with a new root key; the old keys stay in the file for backups.

    A key file that is not the box's own it cannot write: then who keeps it has put a new first line into it, and
    the secrets are sealed with that. Raises NotAllowed, ReadOnlyNow, SecretUnreadable.
    """
    by.require(Ability.MANAGE_SECRETS)
    refuse_changes(by, home)
    file = _key_file(home)
    with connection.cursor() as cursor:
        # Until the commit: a second one would write a file without the key that this one seals with.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('millwright.secrets.rotate'))")
    if home is not None or get_config().root_key_own:
        _write_keys(file, [new_key(), *_keys(file)])
    ring = _ring(home)
    rows = list(Secret.objects.select_for_update())
    for row in rows:
        row.token = ring.seal(row.name, _open(row.name, row.token, home))
        row.save(update_fields=["token"])
    append_here("secret.rotated", by.name, "secret", {"secrets": len(rows), "key": ring.newest})
    return len(rows)


def seal(purpose: str, text: str, home: Path | None = None) -> str:
    """``text`` for a column of another area, so that the database alone does not give it away."""
    return base64.urlsafe_b64encode(_ring(home).seal(purpose, text)).decode()


def unseal(purpose: str, token: str, home: Path | None = None) -> str:
    """What was sealed for this purpose. Raises SecretUnreadable."""
    raw = token.encode()
    try:
        # What an earlier version sealed is a Fernet token, which is base64 itself.
        sealed = raw if raw.startswith(b"gAAAA") else base64.urlsafe_b64decode(raw)
        return _ring(home).open(purpose, sealed)
    except (NotOpened, ValueError) as error:
        raise SecretUnreadable(
            f"the root key does not open what was sealed for {purpose}", hint=str(error)
        ) from error


def _open(name: str, token: Any, home: Path | None) -> str:
    if token is None:
        raise _missing(name)
    try:
        value = _ring(home).open(name, bytes(token))
    except NotOpened as error:
        raise SecretUnreadable(
            f"the root key does not open the secret {name!r}: {error}", hint=f"manage.py secrets set {name}"
        ) from error
    # Whoever has it may put it into a log or an error: there it is masked from now on.
    KNOWN.learn(value)
    return value


def _missing(name: str) -> SecretMissing:
    return SecretMissing(f"there is no secret {name!r}", hint=f"manage.py secrets set {name}")


def _ring(home: Path | None) -> "Ring":
    from appliance.safety.envelope import Ring

    file = _key_file(home)
    lines = _keys(file)
    if not lines:
        if home is None and not get_config().root_key_own:
            raise SecretUnreadable(f"there is no key in {file}", hint="manage.py secrets new-key prints one")
        lines = _first_key(file)
    try:
        return Ring(lines)
    except ValueError as error:
        raise SecretUnreadable(
            f"{file} has a line that is no key", hint="one key a line, as `secrets new-key` prints it"
        ) from error


def new_key() -> str:
    """A line for the root key file: 256 bits, as URL-safe base64."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _key_file(home: Path | None) -> Path:
    return home / "secrets" / "root_key" if home is not None else get_config().root_key


def _keys(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnreadable(f"the root key {file} cannot be read", hint=str(error)[:200]) from error


def _first_key(file: Path) -> list[str]:
    """The first key of a box: of two who make one at once, both have that of the first."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        _write_keys(made, [new_key()])
        with contextlib.suppress(FileExistsError):
            os.link(made, file)
        if not _keys(file):  # somebody put an empty file there
            made.replace(file)
    finally:
        made.unlink(missing_ok=True)
    return _keys(file)


def _write_keys(file: Path, keys: Iterable[str]) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomically(file, "".join(f"{key}\n" for key in keys).encode())
    if os.geteuid() == 0:
        os.chown(file, *owner_of(file.parent.parent), follow_symlinks=False)
