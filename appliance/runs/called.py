"""Runs that another run called and waits for: they end with it, however deep they are.

Both doors are one transaction of their own, after the caller's end was committed: they hold no lock of the
caller. A kill between the two is repaired by the reconciler (P8).
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection

from appliance.audit.services import AuditEntry, append, append_async
from appliance.events import RunChanged
from appliance.events.journal import columns
from appliance.events.sql import RECORD
from appliance.runs import sql
from appliance.runs.asking import Ask, Asking, Tell, answer, answer_async
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState

Told = Sequence[tuple[UUID, str, str | None]]
"""Run, its state now (cancelled, or running until its worker has ended it), its task."""


def end_called(caller: UUID, reason: str) -> list[UUID]:
    """End every living run below ``caller``, on Django's connection; gives those that were told."""
    with transaction.atomic(), django_connection.cursor() as cursor:
        told = answer(cursor, _end(caller, reason))
        append(cursor, _entries(told, caller))
    return [run_id for run_id, _, _ in told]


async def end_called_async(connection: AsyncConnection[Any], caller: UUID, reason: str) -> list[UUID]:
    """As ``end_called``, in the transaction of an asynchronous connection."""
    told = await answer_async(connection, _end(caller, reason))
    await append_async(connection, _entries(told, caller))
    return [run_id for run_id, _, _ in told]


def _end(caller: UUID, reason: str) -> Asking[Told]:
    living = [row[0] for row in (yield Ask(sql.LOCK_CALLED, {"id": caller}))]
    return (yield from end_living(caller, living, reason)) if living else []


def end_living(caller: UUID, living: Sequence[UUID], reason: str) -> Asking[Told]:
    """End the runs below ``caller`` that ``LOCK_CALLED`` gave; what is put on record is the asker's."""
    said = _reason(caller, reason)
    told: Told = yield Ask(sql.END_CALLED, {"ids": list(living), "reason": said})
    yield Tell(sql.END_STEPS, {"ids": _ended(told)})
    changes = _changes(told, said)
    if changes:
        yield Tell(RECORD, columns(changes))
    return told


def _reason(caller: UUID, reason: str) -> str:
    return f"run {caller}, which called it, ended: {reason}"[:1000]


def _ended(told: Told) -> list[UUID]:
    return [run_id for run_id, state, _ in told if state == RunState.CANCELLED]


def _changes(told: Told, said: str) -> list[RunChanged]:
    return [
        run_changed(run_id, task or "", RunState.CANCELLED, None, said)
        for run_id, state, task in told
        if state == RunState.CANCELLED
    ]


def _entries(told: Told, caller: UUID) -> list[AuditEntry]:
    return [
        AuditEntry("run.cancel", "box", str(run_id), {"task": task or "", "caller": str(caller)})
        for run_id, _, task in told
    ]
