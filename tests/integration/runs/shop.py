"""A database of somebody else on the tests' own server, with roles of its own."""

from typing import Any

import psycopg
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.lib.config import get_config
from appliance.safety.secrets import set_secret

PASSWORD = "counter-7-shop"


def superuser(database: str = "postgres") -> "psycopg.Connection[Any]":
    home = get_config().home
    return psycopg.connect(
        host=str(home.runtime),
        user="postgres",
        dbname=database,
        password=home.secret("postgres"),
        autocommit=True,
    )


def url(role: str = "clerk", password: str = PASSWORD, database: str = "shop", more: str = "") -> str:
    return f"postgresql://{role}:{password}@/{database}?host={get_config().home.runtime}{more}"


async def keep_secret(engine: Any, value: str) -> None:
    await sync_to_async(set_secret)("shop", value, BOX, engine.clock.now())
