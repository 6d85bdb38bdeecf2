"""Plain psycopg connections to the test database, beside Django's own, and how it is emptied."""

from functools import cache
from typing import Any

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo


def emptied(*tables: str) -> str:
    """SQL that takes every row out of these tables.

    Of few rows that costs a twentieth of TRUNCATE, which makes new files for every partition and index.
    """
    return "; ".join(f"DELETE FROM {table}" for table in tables)


_GUARDED = """
SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgtype & 8 = 8
"""
_TRUNCATED = "DO $$ BEGIN IF EXISTS (SELECT FROM {0}) THEN TRUNCATE {0} CASCADE; END IF; END $$"


@cache
def _flushed() -> str:
    """Tables whose rows nobody may delete are truncated, where there are any."""
    made_once = {"django_content_type", "auth_permission"}
    tables = set(connection.introspection.django_table_names(only_existing=True)) - made_once
    with connection.cursor() as cursor:
        cursor.execute(_GUARDED)
        guarded = {row[0] for row in cursor.fetchall()} & tables
    return "; ".join([emptied(*sorted(tables - guarded)), *map(_TRUNCATED.format, sorted(guarded))])


def flush() -> None:
    """What Django's own does after a test with real transactions, in milliseconds: tables of managed models."""
    with connection.cursor() as cursor:
        cursor.execute(_flushed())


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
