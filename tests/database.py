"""Plain psycopg connections to the test database, beside Django's own, and how it is emptied."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import psycopg
from django.apps import apps
from django.db import connection
from psycopg.conninfo import make_conninfo

from appliance.lib.partitions import days_from, partition_name
from appliance.processes.days import PARTITIONED


def emptied(*tables: str) -> str:
    """SQL that takes every row out of these tables.

    Of few rows that costs a twentieth of TRUNCATE, which makes new files for every partition and index.
    """
    return "; ".join(f"DELETE FROM {table}" for table in tables)


# Triggers before DELETE (bit 3 of their type) and before TRUNCATE (bit 5).
_GUARDED = """
SELECT tgrelid::regclass::text, bool_or(tgtype & 32 = 32) FROM pg_trigger
WHERE NOT tgisinternal GROUP BY 1 HAVING bool_or(tgtype & 8 = 8)
"""
_TRUNCATED = "IF EXISTS (SELECT FROM {0}) THEN TRUNCATE {0} CASCADE; END IF"


@cache
def _body() -> str:
    """Every model's table but the audit record's, and what waits to be put on it; where rows may not be deleted it is
    truncated, if it has any."""
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} - {
        "django_content_type",
        "auth_permission",
    }
    tables.add("audit_later")
    with connection.cursor() as cursor:
        cursor.execute(_GUARDED)
        guarded = dict(cursor.fetchall())
        truncated = sorted(table for table in tables & guarded.keys() if not guarded[table])
    return "; ".join([emptied(*sorted(tables - guarded.keys())), *map(_TRUNCATED.format, truncated)])


_kept: psycopg.Connection[Any] | None = None


def execute(text: str) -> None:
    """Do this in a session that stays open from test to test.

    It knows the tables, and has planned the same before: in a new one that takes thirty times as long.
    """
    _in_kept_session(lambda cursor: cursor.execute(text))


def _in_kept_session(work: Callable[[Any], Any]) -> None:
    global _kept
    for last in (False, True):
        try:
            if _kept is None:
                _kept = connect(autocommit=True)
                # Who still holds a lock after a test is told, not waited for.
                _kept.execute("SET lock_timeout = '30s'")
            with _kept.cursor() as cursor:
                work(cursor)
            return
        except psycopg.OperationalError:
            ended = _kept is None or _kept.closed
            close()
            if last or not ended:  # a test may have ended all sessions there are
                raise


def close() -> None:
    """End that session: with it the database cannot be dropped."""
    global _kept
    if _kept is not None:
        _kept.close()
    _kept = None


def flush() -> None:
    """What Django's own does after a test with real transactions, in milliseconds, and for partitioned tables too.

    What is in a transaction of Django's connection only that one sees.
    """
    if connection.in_atomic_block or not connection.get_autocommit():
        with connection.cursor() as cursor:
            _flush(cursor)
    else:
        _in_kept_session(_flush)


def _flush(cursor: Any) -> None:
    """By a function: a session plans it once, instead of a hundred statements after each test.

    It is looked for each time: one that was made within a test's own transaction has gone with that.
    """
    cursor.execute("SELECT to_regprocedure('tests.flush()')")
    (there,) = cursor.fetchone()
    if there is None:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS tests")
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION tests.flush() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {_body()}; END $$"
        )
    cursor.execute("SELECT tests.flush()")


def forget_days_ahead() -> None:
    """Drop the partitions of all days but today and tomorrow.

    Most sessions live for one test, and what costs them most is to read what the partitions are.
    """
    today = datetime.now(UTC).date()
    ahead = [
        partition_name(table, day) for table in PARTITIONED for day in days_from(today + timedelta(days=2), 7)
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(ahead)}")


def address() -> str:
    """Where pytest-django's test database is."""
    settings = connection.settings_dict
    parts: dict[str, Any] = {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "host": settings["HOST"],
        "port": settings["PORT"],
    }
    return make_conninfo(**{name: value for name, value in parts.items() if value})


def connect(*, autocommit: bool = False) -> psycopg.Connection[Any]:
    """Another session; close it, or use it in a ``with``."""
    return psycopg.connect(address(), autocommit=autocommit)


async def connect_async(*, autocommit: bool = True) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(address(), autocommit=autocommit)
