"""Paying for effects, counting tokens, and showing what is spent: the only door to budgets for other areas."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.safety.budgets import sql
from appliance.safety.budgets.domain import Charge, Key, Over, What, afterwards


def encoded(charges: Sequence[Charge], run_id: UUID | None = None) -> str | None:
    """The charges as ``safety_charge`` takes them; None for none, and nothing is asked of the database."""
    if not charges:
        return None
    run = str(run_id) if run_id else ""
    return json.dumps([charge.to_json(place, run) for place, charge in enumerate(charges)])


def over_of(charges: Sequence[Charge], rows: Sequence[Sequence[Any]]) -> list[Over]:
    """Of rows (place, granted, used, free_at, news): the charges for which there was no room."""
    return [
        Over(charges[place], used, free_at, news)
        for place, _, used, free_at, news in rows
        if free_at is not None
    ]


async def charge(
    connection: AsyncConnection[Any], charges: Sequence[Charge], at: datetime, run_id: UUID | None = None
) -> list[Over]:
    """Count all of them or, where one finds no room, none; gives those without room.

    In the transaction that commits the intent, before its audit record.
    """
    return await _ask(connection, charges, at, run_id, "all")


async def look(connection: AsyncConnection[Any], charges: Sequence[Charge], at: datetime) -> list[Over]:
    """Which of them would find no room; nothing is counted."""
    return await _ask(connection, charges, at, None, "look")


async def spend(
    connection: AsyncConnection[Any], charges: Sequence[Charge], amounts: Mapping[What, float], at: datetime
) -> None:
    """Count what is known only when it is spent, room or not: seconds of work, tokens. In the transaction that commits
    the result.

    ``charges`` are those of the verdict that let the step pass: the budgets that ask about it are among them.
    """
    asked = [
        {**replace(one, amount=max(0.0, amounts[one.key.what])).to_json(place), "most": None}
        for place, one in enumerate(afterwards(charges, amounts))
    ]
    if asked:
        await connection.execute(sql.CHARGE, {"charges": json.dumps(asked), "moment": at, "mode": "all"})


async def forget(connection: AsyncConnection[Any], at: datetime) -> None:
    """Drop the counts of which nothing counts any more."""
    await connection.execute(sql.FORGET, {"moment": at})


@dataclass(frozen=True, slots=True)
class Spent:
    """One count, as it was when it was touched last: what is older than its span has come free since."""

    key: Key
    used: float
    touched_at: datetime


def spent() -> list[Spent]:
    """What is counted now, without the counts of equal actions."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.USED)
        return [Spent(Key(row[0], What(row[1]), row[2]), row[3], row[4]) for row in cursor.fetchall()]


async def _ask(
    connection: AsyncConnection[Any], charges: Sequence[Charge], at: datetime, run_id: UUID | None, mode: str
) -> list[Over]:
    given = encoded(charges, run_id)
    if given is None:
        return []
    values = {"charges": given, "moment": at, "mode": mode}
    cursor = await connection.cursor(row_factory=tuple_row).execute(sql.CHARGE, values)
    return over_of(charges, await cursor.fetchall())
