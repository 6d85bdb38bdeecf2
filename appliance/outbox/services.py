"""The door of the outbox: put an item in with the change that causes it, look at items, retry or cancel."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import AuditEntry, append
from appliance.events import DeliveryChanged
from appliance.events.hints import poke_from_thread
from appliance.events.services import record
from appliance.lib.errors import MillwrightError
from appliance.lib.plain import plain_object, plain_text
from appliance.outbox import sql
from appliance.outbox.domain import OutboxState
from appliance.outbox.errors import ItemBusy, ItemNotFound
from appliance.outbox.models import OutboxRow
from appliance.outbox.ports import OutboxItem, Target
from appliance.outbox.statistics import TargetStatistics, target_statistics
from appliance.safety.read_only import refuse_changes

__all__ = [
    "Open",
    "TargetStatistics",
    "counts",
    "drop",
    "enqueue",
    "enqueue_now",
    "listed",
    "of_run",
    "overdue",
    "retry",
    "target_statistics",
    "targets",
    "wake_platform",
    "wake_platform_now",
]


class Open(NamedTuple):
    """Of one platform: what waits for its turn or is under way, and what is held for a better time."""

    waiting: int
    held: int


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
        "about": plain_text(item.about)[:200],
        "expires_at": item.expires_at,
    }


def listed(
    *,
    states: frozenset[OutboxState] | None = None,
    platform: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[OutboxRow]:
    """Items newest first, one page; ``before`` is the last identifier of the page above.

    Each has a ``place`` in its target's line (1 is next; 100 stands for 100 and more), None when it is over.
    """
    values = {
        "states": [state.value for state in states] if states else None,
        "platform": platform or None,
        "before": before,
        "limit": limit,
    }
    return list(OutboxRow.objects.raw(sql.LISTED, values))


def targets(limit: int = 20) -> list[Target]:
    """Who has messages waiting, the longest wait first."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.TARGETS, {"limit": limit})
        return [Target(*row) for row in cursor.fetchall()]


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


def counts() -> Mapping[str, Open]:
    """How many items are open, by platform."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.COUNTS)
        return {platform: Open(waiting, held) for platform, waiting, held in cursor.fetchall()}


def retry(item_id: UUID, by: Principal) -> None:
    """Send a failed, expired or waiting item now; one that is held goes through whatever holds it.

    Raises NotAllowed, ItemNotFound, ItemBusy, ReadOnlyNow.
    """
    by.require(Ability.CANCEL_RUNS)
    refuse_changes(by)
    _act(item_id, by, "outbox.retry", OutboxState.PENDING, sql.RETRY, {**_HINT, "id": item_id})


def drop(item_id: UUID, by: Principal) -> None:
    """Give up an item that waits; its step fails with the reason.

    Raises NotAllowed, ItemNotFound, ItemBusy, ReadOnlyNow.
    """
    by.require(Ability.CANCEL_RUNS)
    refuse_changes(by)
    values = {"id": item_id, "reason": f"dropped by {by.name}"[:1000]}
    _act(item_id, by, "outbox.drop", OutboxState.FAILED, sql.CANCEL, values)


def _act(
    item_id: UUID, by: Principal, kind: str, state: OutboxState, statement: str, values: Mapping[str, Any]
) -> None:
    """One conditional update with its event and audit record."""
    with transaction.atomic(), django_connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
        if row is None:
            raise _refusal(item_id)
        platform, run_id, step_id = row[:3]
        changed = DeliveryChanged(
            item_id=str(item_id),
            platform=platform,
            state=state.value,
            run_id=str(run_id or ""),
            step=step_id,
            error=str(values.get("reason", "")),
        )
        record(cursor, changed)
        append(cursor, [AuditEntry(kind, by.name, f"outbox/{item_id}", {"platform": platform})])
        transaction.on_commit(poke_from_thread)


def _refusal(item_id: UUID) -> MillwrightError:
    state = OutboxRow.objects.filter(pk=item_id).values_list("state", flat=True).first()
    if state is None:
        return ItemNotFound(f"there is no message {item_id} in the outbox")
    return ItemBusy(f"the message is {state}: this cannot be asked of it now")


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
