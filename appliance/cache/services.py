"""Kept values: read and written by runs, by people and by programs."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import append_here
from appliance.cache import sql
from appliance.cache.domain import LONGEST_KEY
from appliance.cache.errors import CacheConflict, CacheNotFound, CacheRefused
from appliance.cache.hot import HOT
from appliance.cache.ports import Cursor
from appliance.cache.store import Entry, read_entry, write_local
from appliance.lib.config import get_config
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain, plain_text
from appliance.safety.read_only import refuse_changes


async def read(connection: AsyncConnection, keys: Collection[str]) -> dict[str, JsonValue]:
    """The values that exist under ``keys``, as committed last, or written in this transaction.

    They are shared with other readers: do not change them.
    """
    if not keys:
        return {}
    question = HOT.ask(keys)
    cursor = await connection.execute(sql.READ, question.parameters)
    return HOT.answer(question, await cursor.fetchall())


async def write(
    connection: AsyncConnection, key: str, value: JsonValue, by: str, *, expected: int | None = None
) -> int:
    """Store ``value`` under ``key`` in the caller's transaction; ``by`` names the run and step. Gives the version.

    With ``expected`` only over that version (0: only where there is none). Raises CacheConflict.
    """
    said = {
        "key": key,
        "value": Jsonb(plain(value)),
        "by": by[:200],
        "origin": get_config().home.id,
        "deleted": False,
        "expected": expected,
        "wall": None,
    }
    row = await (await connection.execute(sql.WRITE, said)).fetchone()
    if row is None:
        raise CacheConflict(f"{key} is not at version {expected} any more")
    return int(row[0])


@contextmanager
def begin() -> Iterator[Cursor]:
    """A transaction on Django's connection (appliance.cache.ports.Transaction)."""
    with transaction.atomic(), django_connection.cursor() as cursor:
        yield cursor


def show(key: str) -> Entry:
    """Raises CacheNotFound."""
    with begin() as cursor:
        entry = read_entry(cursor, key)
    if entry is None or entry.write.deleted:
        raise CacheNotFound(f"there is no value under {key[:60]!r}")
    return entry


def set_value(key: str, value: JsonValue, by: Principal, *, expected: int | None = None) -> int:
    """Store a value; with ``expected`` only over that version (0: only where there is none). Gives the version.

    Raises NotAllowed, CacheRefused, CacheConflict.
    """
    by.require(Ability.EDIT_VALUES)
    refuse_changes(by)
    _check(key)
    with begin() as cursor:
        version = write_local(cursor, key, value, by.name, get_config().home.id, expected=expected)
        if version is None:
            raise CacheConflict(f"{key} is not at version {expected} any more", hint="look at it again")
        detail: JsonObject = {"version": version, "digest": sha256_hex(plain(value))}
        append_here("cache.set", by.name, f"value/{key}", detail)
    return version


def remove_value(key: str, by: Principal, *, expected: int | None = None) -> None:
    """Remove a value; the removal is shared as an edit is. Raises NotAllowed, CacheNotFound, CacheConflict."""
    by.require(Ability.EDIT_VALUES)
    refuse_changes(by)
    with begin() as cursor:
        entry = read_entry(cursor, key, lock=True)
        if entry is None or entry.write.deleted:
            raise CacheNotFound(f"there is no value under {key[:60]!r}")
        origin = get_config().home.id
        done = write_local(cursor, key, None, by.name, origin, deleted=True, expected=expected)
        if done is None:
            raise CacheConflict(f"{key} is not at version {expected} any more", hint="look at it again")
        append_here("cache.removed", by.name, f"value/{key}", {"version": done})


def prune(now: datetime) -> None:
    """Forget what nobody asks for any more: old messages, decided conflicts, markers of removed values."""
    with begin() as cursor:
        for statement in sql.PRUNE:
            cursor.execute(statement, {"now": now})


def _check(key: str) -> None:
    if not key.strip() or len(key) > LONGEST_KEY or plain_text(key) != key or "\n" in key:
        raise CacheRefused(f"{key[:60]!r} is no key", hint=f"1 to {LONGEST_KEY} characters on one line")
