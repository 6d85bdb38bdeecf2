"""What both ways of filling a box with history share: identifiers that carry their time, and days to put rows in."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from psycopg import Connection

from appliance.lib.partitions import Key, create_day, days_from


def identifier(at: str, number: str, kind: str = "000") -> str:
    """SQL for the UUID version 7 of row ``number`` at ``at``; ``kind`` (3 hex digits) tells two tables apart."""
    return (
        f"(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7{kind}8000'"
        f" || lpad(to_hex({number}), 12, '0'))::uuid"
    )


def make_days(connection: Connection[Any], tables: Mapping[str, Key], first: date, days: int) -> None:
    """The partitions of ``tables`` for ``days`` days from ``first``; those that exist are left alone."""
    for table, key in tables.items():
        for day in days_from(first, days):
            connection.execute(create_day(table, key, day).encode())
