"""Plain psycopg connections to the test database, beside Django's own, and how it is emptied."""

from functools import cache
from typing import Any

import psycopg
from django.apps import apps
from django.db import connection
from psycopg.conninfo import make_conninfo


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


def flush() -> None:
    """What Django's own does after a test with real transactions, in milliseconds, and for partitioned tables too.

    By a function: a session plans it once, instead of a hundred statements after each test. It is looked for each
    time: one that was made within a test's own transaction has gone with that.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('tests.flush()')")
        (there,) = cursor.fetchone()
        if there is None:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS tests")
            cursor.execute(
                "CREATE OR REPLACE FUNCTION tests.flush() RETURNS void LANGUAGE plpgsql"
                f" AS $$ BEGIN {_body()}; END $$"
            )
        cursor.execute("SELECT tests.flush()")


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
