"""What says that the database is away, or would not answer in time: the same work may pass later."""

import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout, ProgramLimitExceeded, TransactionTimeout

DATABASE_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    IdleInTransactionSessionTimeout,
    TransactionTimeout,
)
"""For ``except``. The two limits end a transaction that waited for somebody who holds a lock: nothing is wrong with it,
though PostgreSQL files them under internal errors."""

ROWS_AT_FAULT = (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded)
"""The rows themselves are wrong: no other try can write them."""


def database_error(error: BaseException) -> psycopg.Error | None:
    """What the database said: the error, or what Django has wrapped in one of its own."""
    told = error if isinstance(error, psycopg.Error) else error.__cause__
    return told if isinstance(told, psycopg.Error) else None


def passes(error: psycopg.Error) -> bool:
    """Whether the same rows may be written later.

    A database that is read-only (a standby that takes over), lacks a table (a restore, a migration), refuses us or has
    a damaged page says nothing against the rows: they wait until somebody has mended it.
    """
    return not isinstance(error, ROWS_AT_FAULT)
