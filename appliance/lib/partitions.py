"""SQL for tables that are partitioned by day, and the clean-up that is dropping a day.

A table is keyed either by an identifier that carries its time (``Key.UUID``) or by a timestamp
(``Key.TIME``). A DEFAULT partition catches rows of days nobody prepared (a clock that jumped, a due time
of last month), so that no insert can fail for want of a partition.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from appliance.lib.identity import uuid_floor


class Key(StrEnum):
    UUID = "uuid"
    TIME = "time"


def _bound(day: date, key: Key) -> str:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return f"'{uuid_floor(at)}'" if key is Key.UUID else f"'{at.isoformat()}'"


def partition_name(table: str, day: date) -> str:
    return f"{table}_p{day:%Y%m%d}"


def create_default(table: str) -> str:
    return f'CREATE TABLE IF NOT EXISTS "{table}_default" PARTITION OF "{table}" DEFAULT'


def create_day(table: str, key: Key, day: date) -> str:
    """The statement for one day. It fails if the DEFAULT partition holds rows of that day already."""
    following = day + timedelta(days=1)
    return (
        f'CREATE TABLE IF NOT EXISTS "{partition_name(table, day)}" PARTITION OF "{table}" '
        f"FOR VALUES FROM ({_bound(day, key)}) TO ({_bound(following, key)})"
    )


def days_from(first: date, count: int) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range(count))


def day_of(name: str) -> date | None:
    """The day of a partition by its name; None for the DEFAULT one."""
    tail = name.rpartition("_p")[2]
    return date(int(tail[:4]), int(tail[4:6]), int(tail[6:])) if len(tail) == 8 and tail.isdigit() else None


def prepare(table: str, key: Key, today: date, ahead: int = 7) -> list[str]:
    """Every statement that gives a fresh partitioned table its DEFAULT and its first days."""
    return [create_default(table)] + [create_day(table, key, day) for day in days_from(today, ahead)]
