"""One statement in another PostgreSQL: read-only by the server's own word, or changed once by its key."""

import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncServerCursor, errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from appliance.actions.contract import ActionRefused, StepResult, TargetAway
from appliance.actions.sql_rows import Caps, Rows, names_of, object_of
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.masking import KNOWN

CONNECT_SECONDS = 10
DONE_TABLE = "millwright_done"
MAKE_DONE_TABLE = (
    f"CREATE TABLE {DONE_TABLE} (key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), output jsonb)"
)

# Two connections to one server see the same start of it, to the microsecond.
_WHERE = """
SELECT pg_postmaster_start_time() AS server, current_database()::text AS database, current_user::text AS role,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS almighty
"""
_HOSTS = re.compile(r"[^@]*")
_PORTS = re.compile(r"[0-9,]*")
_CLAIM_KEY = f"INSERT INTO {DONE_TABLE} (key) VALUES (%s) ON CONFLICT (key) DO NOTHING RETURNING key"
_NOT_NOW = ("starting up", "shutting down", "in recovery", "too many", "connection slots")
PIECE = 100
"""Rows of one reading of what is streamed."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Which server, database and role a connection is on; ``almighty`` roles may do anything there."""

    server: datetime
    database: str
    role: str
    almighty: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its bound values; ``seconds`` is the server's time limit for it."""

    text: str
    values: JsonObject | None
    seconds: float
    caps: Caps


@asynccontextmanager
async def opened(address: str, name: str, own: Whereabouts) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection to the address. Raises ActionRefused where it is none that can be used, or leads into the box's own
    database."""
    _check_address(address, name)
    async with await AsyncConnection.connect(
        address, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="millwright sql"
    ) as connection:
        there = await whereabouts(connection)
        if there.server == own.server and (there.almighty or there == replace(own, almighty=there.almighty)):
            raise ActionRefused(
                f"{name!r} is the box's own database with rights that no task has",
                hint="make a database and a role of their own for it",
            )
        yield connection


def _check_address(address: str, name: str) -> None:
    """Raises ActionRefused. The driver's errors name host and port: neither may be the rest of a password."""
    if not address.startswith(("postgresql://", "postgres://")):
        raise ActionRefused(
            f"the secret {name!r} is not the address of a PostgreSQL database",
            hint="postgresql://user:password@host/name",
        )
    try:
        parts = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        parts = None  # the driver's words quote the address
    if (
        parts is None
        or not _HOSTS.fullmatch(str(parts.get("host", "")))
        or not _PORTS.fullmatch(str(parts.get("port", "")))
    ):
        raise ActionRefused(
            f"the address in the secret {name!r} cannot be read",
            hint="in its user and password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25",
        )
    KNOWN.learn(str(parts.get("password", "")))


async def whereabouts(connection: AsyncConnection[Any]) -> Whereabouts:
    cursor = connection.cursor(row_factory=class_row(Whereabouts))
    found = await (await cursor.execute(_WHERE)).fetchone()
    assert found is not None
    return found


async def read(connection: AsyncConnection[Any], statement: Statement) -> JsonValue:
    """The rows, streamed, so that a table that is too large is not taken into memory first."""
    # The session too: whatever ended the transaction would find the next one read-only as well.
    await connection.execute("SET default_transaction_read_only = on")
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ ONLY")
        await _limit(connection, statement.seconds)
        rows = Rows(statement.caps)
        async with connection.cursor() as cursor:
            async for row in cursor.stream(statement.text, statement.values):
                rows.add(cursor.description, row)
        return rows.found


@asynccontextmanager
async def streamed(
    connection: AsyncConnection[Any], text: str, values: JsonObject | None, seconds: float
) -> AsyncIterator[AsyncIterator[list[JsonObject]]]:
    """The rows of one snapshot by the server's cursor, in pieces, however many there are.

    The server refuses every change. ``seconds`` is its time limit for each reading.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ ONLY")
        await _limit(connection, seconds)
        async with connection.cursor(name="millwright") as cursor:
            await cursor.execute(text, values)
            yield _pieces(cursor)


async def _pieces(cursor: AsyncServerCursor[Any]) -> AsyncIterator[list[JsonObject]]:
    while rows := await cursor.fetchmany(PIECE):
        names = names_of(cursor.description)
        yield [object_of(names, row) for row in rows]


async def change(connection: AsyncConnection[Any], statement: Statement, key: str) -> StepResult:
    """Change something and remember it under ``key``, in one transaction: a repeat finds it done."""
    await _have_done_table(connection)
    async with connection.transaction():
        await _limit(connection, statement.seconds)
        cursor = await connection.execute(_CLAIM_KEY, (key,))
        if await cursor.fetchone() is None:
            cursor = await connection.execute(f"SELECT output FROM {DONE_TABLE} WHERE key = %s", (key,))
            row = await cursor.fetchone()
            return StepResult.ok(row[0] if row else None, done_before=True)
        # Prepared: the server then takes one statement only, and no COMMIT behind it.
        cursor = await connection.execute(statement.text, statement.values, prepare=True)
        rows = Rows(statement.caps)
        if cursor.description:
            async for row in cursor:
                rows.add(cursor.description, row)
        changed = cursor.rowcount
        await connection.execute(
            f"UPDATE {DONE_TABLE} SET output = %s WHERE key = %s", (Jsonb(rows.found), key)
        )
    return StepResult.ok(rows.found, rows=changed)


async def _limit(connection: AsyncConnection[Any], seconds: float) -> None:
    milliseconds = str(max(1, math.floor(seconds * 1000)))
    await connection.execute(
        "SELECT set_config('statement_timeout', %(ms)s, true), set_config('lock_timeout', %(ms)s, true)",
        {"ms": milliseconds},
    )


async def _have_done_table(connection: AsyncConnection[Any]) -> None:
    cursor = await connection.execute("SELECT to_regclass(%s)", (DONE_TABLE,))
    row = await cursor.fetchone()
    if row and row[0] is not None:
        return
    try:
        await connection.execute(MAKE_DONE_TABLE)
    except (errors.DuplicateTable, errors.UniqueViolation):
        return  # another step was faster
    except errors.InsufficientPrivilege as error:
        raise ActionRefused(
            f"the role may not make the table {DONE_TABLE}, in which a change is remembered so that it is never"
            " done twice",
            hint=f"let its owner run: {MAKE_DONE_TABLE}; GRANT SELECT, INSERT, UPDATE ON {DONE_TABLE} TO …",
        ) from error


@contextmanager
def translated(name: str, seconds: float) -> Iterator[None]:
    """The driver's errors as ours: what may work later, and what never will."""
    try:
        yield
    except errors.ReadOnlySqlTransaction as error:
        raise ActionRefused(
            "this statement changes something", hint="a step of type sql does that, with write: true"
        ) from error
    except (errors.QueryCanceled, errors.LockNotAvailable) as error:
        raise SqlFailed(f"not done after {seconds:g} s: nothing was changed") from error
    except (errors.SerializationFailure, errors.DeadlockDetected) as error:
        raise SqlFailed(f"the database asks to try again: {_said(error)}") from error
    except psycopg.OperationalError as error:
        said = _said(error)
        if "FATAL:" in said and not any(word in said for word in _NOT_NOW):
            raise ActionRefused(f"the database {name!r} refuses: {said}") from error
        raise TargetAway(f"the database {name!r} is away: {said}", maybe_done=True) from error
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise ActionRefused("this statement gives no rows", hint="a change needs write: true") from error
        hint = error.diag.message_hint if isinstance(error, psycopg.DatabaseError) else None
        raise ActionRefused(f"the database says: {_said(error)}", hint=hint) from error


class SqlFailed(ActionRefused):
    """The database took nothing of it; the same statement may work later."""

    code = "action.sql_failed"
    permanent = False


def _said(error: psycopg.Error) -> str:
    primary = error.diag.message_primary
    return primary or " ".join(str(error).split())[:500]
