"""A database of a stand, with a role of its own, on the server of a scratch home."""

from typing import Any

import psycopg

from appliance.lib.home import Home

NAME = "mw_suite_shop"
_CLEARED = (
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    f"SET ROLE {NAME}",
)


class Shop:
    """``open`` makes it where it is not there; ``close`` takes it away."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._password = home.secret("suite_shop")

    @property
    def address(self) -> str:
        return f"postgresql://{NAME}:{self._password}@/{NAME}?host={self._home.runtime}"

    def open(self) -> None:
        with self._almighty() as server:
            if server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (NAME,)).fetchone() is None:
                server.execute(f"CREATE ROLE {NAME} LOGIN PASSWORD '{self._password}'")
                server.execute(f"CREATE DATABASE {NAME} OWNER {NAME}")

    def close(self) -> None:
        with self._almighty() as server:
            server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
            server.execute(f"DROP ROLE IF EXISTS {NAME}")

    def furnish(self, tables: str) -> None:
        """Only these tables are in it."""
        with self._almighty(NAME) as inside:
            for text in (*_CLEARED, tables):
                inside.execute(text.encode())

    def _almighty(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        return psycopg.connect(
            host=str(self._home.runtime),
            user="postgres",
            dbname=database,
            password=self._home.secret("postgres"),
            autocommit=True,
        )
