"""Runs that did what they did not declare: put on record with the step, shown, and acted on once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.audit.chain import AuditEntry
from appliance.events import AuditAlert
from appliance.events.services import record_async
from appliance.sandbox.models import Finding

MOST_WORDS = 50
"""Sentences of one step."""

# A step that is recorded again, after a crash, says it once more: the first row stays.
_NOTE = """
INSERT INTO sandbox_finding (run_id, task_id, version_id, step, attempt, words, at, handled)
VALUES (%(run)s, %(task)s, %(version)s, %(step)s, %(attempt)s, %(words)s, %(at)s, false)
ON CONFLICT (run_id, step, attempt) DO NOTHING
"""
_FORGET = "DELETE FROM sandbox_finding WHERE at < %s"


@dataclass(frozen=True, slots=True)
class Undeclared:
    """What one step of a run did beside what its author declared, in sentences."""

    run_id: UUID
    task_id: int
    version_id: int
    task: str
    step: str
    attempt: int
    words: Sequence[str]
    at: datetime


async def note(connection: AsyncConnection[Any], found: Undeclared) -> None:
    """Write it in the caller's transaction, with an alert. The run is amber from then on."""
    words = list(found.words[:MOST_WORDS])
    if (more := len(found.words) - MOST_WORDS) > 0:
        words.append(f"and {more} more")
    values = {
        "run": found.run_id,
        "task": found.task_id,
        "version": found.version_id,
        "step": found.step,
        "attempt": found.attempt,
        "words": Jsonb(words),
        "at": found.at,
    }
    await connection.execute(_NOTE, values)
    message = f"{found.task}, step {found.step}: {words[0]}"
    await record_async(
        connection, AuditAlert(rule="run.undeclared", message=message[:500], run_id=str(found.run_id))
    )


def audit_entry(found: Undeclared, principal: str) -> AuditEntry:
    """What the audit record keeps of it."""
    return AuditEntry(
        kind="step.undeclared",
        principal=principal,
        subject=f"{found.run_id}/{found.step}",
        detail={"task": found.task, "attempt": found.attempt, "did": list(found.words[:MOST_WORDS])},
        at=found.at,
    )


def of_run(run_id: UUID) -> list[Finding]:
    return list(Finding.objects.filter(run_id=run_id).order_by("id"))


def last_of(task_id: int) -> Finding | None:
    """The newest finding of a task; None where it has none, or none is kept any more."""
    return Finding.objects.filter(task_id=task_id).order_by("-at").first()


def amber(run_ids: Collection[UUID]) -> set[UUID]:
    """Which of these runs have a finding: one query."""
    return set(Finding.objects.filter(run_id__in=run_ids).values_list("run_id", flat=True))


def unhandled(most: int = 100) -> list[Finding]:
    """Findings that nobody has acted on yet, oldest first."""
    return list(Finding.objects.filter(handled=False).order_by("id")[:most])


def handle(found: Finding) -> bool:
    """Take it; False where another process just did. In the caller's transaction."""
    return Finding.objects.filter(pk=found.pk, handled=False).update(handled=True) == 1


async def forget(connection: AsyncConnection[Any], now: datetime, days: int) -> None:
    await connection.execute(_FORGET, (now - timedelta(days=days),))
