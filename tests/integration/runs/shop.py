"""A database of somebody else on the tests' own server, with roles of its own."""

from typing import Any

import psycopg
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.lib.config import get_config
from appliance.safety.secrets import set_secret

PASSWORD = "counter-7-shop"
FURNISHED = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "DROP SCHEMA public CASCADE",
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
    "GRANT USAGE ON SCHEMA public TO PUBLIC",
    "SET ROLE clerk",
    "CREATE TABLE part (id int PRIMARY KEY, name text, stock int)",
    "INSERT INTO part VALUES (1, 'bolt', 7), (2, '温', 0)",
    "CREATE SEQUENCE numbers",
    "CREATE FUNCTION sneak() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM part; RETURN 1; END $$",
    "GRANT SELECT, INSERT ON part TO guest",
    "RESET ROLE",
)


def superuser(database: str = "postgres") -> "psycopg.Connection[Any]":
    home = get_config().home
    return psycopg.connect(
        host=str(home.runtime),
        user="postgres",
        dbname=database,
        password=home.secret("postgres"),
        autocommit=True,
    )


def furnish(shop: "psycopg.Connection[Any]") -> None:
    """As it is before a test: nobody else is in it, and nothing is there of the one before."""
    for text in FURNISHED:
        shop.execute(text)


def url(role: str = "clerk", password: str = PASSWORD, database: str = "shop", more: str = "") -> str:
    return f"postgresql://{role}:{password}@/{database}?host={get_config().home.runtime}{more}"


async def keep_secret(engine: Any, value: str) -> None:
    await sync_to_async(set_secret)("shop", value, BOX, engine.clock.now())
