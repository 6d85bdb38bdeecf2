"""The door of the outbox: put an item in with the change that causes it, look at items, retry or cancel."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.lib.plain import plain_object, plain_text
from appliance.outbox import sql
from appliance.outbox.domain import OutboxState
from appliance.outbox.models import OutboxRow
from appliance.outbox.ports import OutboxItem
from appliance.outbox.statistics import TargetStatistics, target_statistics

__all__ = [
    "TargetStatistics",
    "cancel",
    "counts",
    "enqueue",
    "enqueue_now",
    "listed",
    "of_run",
    "overdue",
    "retry",
    "target_statistics",
    "wake_platform",
    "wake_platform_now",
]

_HINT = {"channel": sql.HINT_CHANNEL}


async def enqueue(connection: AsyncConnection[Any], item: OutboxItem) -> UUID:
    """Write ``item`` in the caller's transaction; give its identifier.

    A second item with the same key is the same item: it is not written again. Where the first one failed or
    expired, it is opened again; where it was delivered, only its listener is told again. The sender gets its
    hint from the commit itself. Raises OutboxRefused.
    """
    await connection.execute(sql.ENQUEUE, _parameters(item))
    return item.id


def enqueue_now(item: OutboxItem) -> UUID:
    """As ``enqueue``, in the current transaction of Django's connection."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.ENQUEUE, _parameters(item))
    return item.id


def _parameters(item: OutboxItem) -> dict[str, Any]:
    return {
        **_HINT,
        "id": item.id,
        "key": plain_text(item.key)[:300],
        "platform": plain_text(item.platform)[:64],
        "conversation": plain_text(item.conversation)[:200] if item.conversation else None,
        "message": Jsonb(plain_object(item.message)),
        "run_id": item.run_id,
        "step_id": plain_text(item.step_id or "")[:100],
        "priority": item.priority,
        "expires_at": item.expires_at,
    }


def listed(
    *,
    states: frozenset[OutboxState] | None = None,
    platform: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[OutboxRow]:
    """Items newest first, one page; ``before`` is the last identifier of the page above."""
    rows = OutboxRow.objects.order_by("-id")
    if states:
        rows = rows.filter(state__in=[state.value for state in states])
    if platform:
        rows = rows.filter(platform=platform)
    if before:
        rows = rows.filter(id__lt=before)
    return list(rows[:limit])


def of_run(run_id: UUID) -> list[OutboxRow]:
    """The items of one run: their identifiers carry its time, so this looks into one partition."""
    first = _floor(run_id)
    return list(
        OutboxRow.objects.filter(
            id__gte=first, id__lt=UUID(int=first.int + (1 << 80)), run_id=run_id
        ).order_by("seq")
    )


def _floor(identifier: UUID) -> UUID:
    """The smallest identifier of the same millisecond."""
    return UUID(int=identifier.int >> 80 << 80)


def counts() -> Mapping[str, int]:
    """How many items are open, by platform."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.COUNTS)
        return dict(cursor.fetchall())


def retry(item_id: UUID) -> bool:
    """Send a failed, expired or waiting item now. False when it is under way or delivered."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.RETRY, {**_HINT, "id": item_id})
        return cursor.fetchone() is not None


def cancel(item_id: UUID, principal: str) -> bool:
    """Give up an item that is not under way; its step fails with the reason. False when it is too late."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.CANCEL, {"id": item_id, "reason": f"cancelled by {principal}"[:1000]})
        return cursor.fetchone() is not None


def wake_platform_now(platform: str) -> int:
    """A platform became able to send (a recipient, a token): try what waits for it. Gives how many
    had been put off."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.WAKE_PLATFORM, {**_HINT, "platform": platform})
        row = cursor.fetchone()
    return int(row[0]) if row else 0


async def wake_platform(connection: AsyncConnection[Any], platform: str) -> int:
    """As ``wake_platform_now``, on an asynchronous connection."""
    cursor = await connection.execute(sql.WAKE_PLATFORM, {**_HINT, "platform": platform})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def overdue(connection: AsyncConnection[Any], before: datetime) -> list[UUID]:
    """The reconciler's invariant: what a living sender would have expired or renewed before ``before``."""
    cursor = await connection.execute(sql.OVERDUE, {"before": before})
    return [row[0] for row in await cursor.fetchall()]
