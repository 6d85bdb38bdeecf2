"""Decisions that ask the database as they go, written once for both kinds of connection.

A decision is a generator: it yields statements, is sent their rows, and returns what it decided.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import AsyncConnection

Rows = list[Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """A statement that gives rows."""

    query: str
    values: Any


@dataclass(frozen=True, slots=True)
class Tell:
    """A statement that gives none. In a pipeline nobody waits for it."""

    query: str
    values: Any


Asking = Generator[Ask | Tell, Rows, T]


def answer(cursor: Any, asking: Asking[T]) -> T:
    """Carry a decision out in the transaction of Django's ``cursor``."""
    try:
        statement = next(asking)
        while True:
            cursor.execute(statement.query, statement.values)
            statement = asking.send(cursor.fetchall() if isinstance(statement, Ask) else [])
    except StopIteration as done:
        decided: T = done.value
        return decided


async def answer_async(connection: AsyncConnection[Any], asking: Asking[T]) -> T:
    """As ``answer``, in the transaction of an asynchronous connection (default row factory)."""
    try:
        statement = next(asking)
        while True:
            cursor = await connection.execute(statement.query, statement.values)
            statement = asking.send(await cursor.fetchall() if isinstance(statement, Ask) else [])
    except StopIteration as done:
        decided: T = done.value
        return decided
