"""Plain psycopg connections to the test database, beside Django's own."""

from typing import Any

import psycopg
from django.db import connection
from psycopg.conninfo import make_conninfo


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
