"""A clock that was years ahead once: what it left would keep time triggers silent until then."""

import logging
from datetime import datetime, timedelta

from django.db import connection, transaction

from appliance.audit.services import AuditEntry, append
from appliance.tasks.models import Occurrence, OccurrenceState, Task, TaskTrigger
from appliance.tasks.schedule import next_due
from appliance.tasks.services import definition_of

log = logging.getLogger(__name__)

INVARIANT = "the last due time of a trigger is not in the future"
_MARGIN = timedelta(days=1)
"""A clock that is set by less is in time again before anybody misses a run."""


def pull_back(now: datetime) -> list[str]:
    """Let time triggers whose last due time lies in the future go on from now; gives them as ``task/trigger``.

    Their missed times of that future are taken back, so that these times still come. Nothing is done where no task
    is older than ``now``: then it is this clock that is wrong, and much would count as missed when it is set right.
    """
    with transaction.atomic():
        rows = list(
            TaskTrigger.objects.select_for_update(of=("self",))
            .select_related("task__current")
            .filter(last_due__gt=now + _MARGIN, active=True)
        )
        if not rows or not Task.objects.filter(created_at__lte=now).exists():
            return []
        entries = [_repaired(row, now) for row in rows]
        with connection.cursor() as cursor:
            append(cursor, entries)
    for entry in entries:
        log.warning("repaired: %s: %s %s", INVARIANT, entry.subject, entry.detail["done"])
    return [entry.subject for entry in entries]


def _repaired(row: TaskTrigger, now: datetime) -> AuditEntry:
    before = row.last_due
    row.last_due, row.next_due = now, _next_due(row, now)
    row.save(update_fields=["last_due", "next_due"])
    taken_back, _ = Occurrence.objects.filter(
        task_id=row.task_id,
        trigger=row.trigger,
        due_at__gt=now,
        state=OccurrenceState.MISSED,
        run_id=None,
    ).delete()
    done = (
        f"goes on from now, not from {before:%F %T}; {taken_back} missed times of the future were taken back"
    )
    return AuditEntry(
        "reconciler.repaired",
        "box",
        f"{row.task.name}/{row.trigger}",
        {"invariant": INVARIANT, "done": done},
        now,
    )


def _next_due(row: TaskTrigger, now: datetime) -> datetime | None:
    if row.task.current is None:
        return None
    for trigger in definition_of(row.task.current).triggers:
        if trigger.id == row.trigger:
            return next_due(trigger, now)
    return None
