"""An asynchronous connection to the test database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo


@pytest_asyncio.fixture
async def connection(transactional_db: None) -> AsyncIterator[AsyncConnection[Any]]:
    settings = django_connection.settings_dict
    parts = {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "host": settings["HOST"],
        "port": settings["PORT"],
    }
    where = make_conninfo(**{name: value for name, value in parts.items() if value})
    async with await AsyncConnection.connect(where, autocommit=True) as opened:
        yield opened
