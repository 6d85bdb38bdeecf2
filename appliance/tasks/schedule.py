"""When time triggers are due. Pure: everything follows from the trigger and the times given.

``cron`` and ``at`` are local times of the trigger's ``timezone`` (UTC where none is given); what happens when
the clocks change is said in :mod:`appliance.tasks.cron`. ``every`` counts from 1970-01-01 00:00 UTC, not from
when the task was saved: a restart, an edit or a second box never shifts it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from appliance.tasks.cron import cron_instants
from appliance.tasks.definition.triggers import Trigger

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def due_times(trigger: Trigger, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """The first ``limit`` due times in ``(after, until]``, ascending, in UTC.

    Empty for triggers that no clock starts.
    """
    found: list[datetime] = []
    for due in islice(dues(trigger, after), limit):
        if due > until:
            break
        found.append(due)
    return found


def next_due(trigger: Trigger, after: datetime) -> datetime | None:
    """The first due time after ``after`` in UTC; None when there is no further one."""
    return next(dues(trigger, after), None)


def dues(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    """Every due time after ``after``, ascending, in UTC, computed as it is taken."""
    if after.tzinfo is None:
        raise ValueError("after must be an aware datetime")
    if trigger.cron is not None:
        return cron_instants(trigger.cron, zone_of(trigger), after)
    if trigger.every is not None:
        return _every(trigger.every, after)
    if trigger.at is not None and trigger.at > after:
        return iter((trigger.at,))
    return iter(())


def _every(period: timedelta, after: datetime) -> Iterator[datetime]:
    count = (after - EPOCH) // period
    while True:
        count += 1
        yield EPOCH + count * period


def zone_of(trigger: Trigger) -> ZoneInfo:
    return ZoneInfo(trigger.timezone or "UTC")
