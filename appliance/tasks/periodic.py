"""One PeriodicTask row per time trigger: seen and switched in the admin, and only a hint (P2).

Beat runs in UTC. A trigger with a time zone of its own is hinted each minute; when it is really due is
computed by ``appliance.tasks.schedule``, never by beat.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from appliance.tasks.definition import TaskDefinition, Trigger
from appliance.tasks.models import Task

DOOR = "tasks.fire_due"
TICK = "millwright: safety net, each minute"
SIGN = "millwright: beat's sign of life"


def sync(task: Task, definition: TaskDefinition) -> None:
    """Create, change or remove the rows of one task."""
    prefix = f"{task.name}/"
    kept = []
    for trigger in definition.triggers:
        schedule = _schedule(trigger)
        if schedule is None:
            continue
        name = f"{prefix}{trigger.id}"
        kept.append(name)
        PeriodicTask.objects.update_or_create(
            name=name,
            defaults={
                "task": DOOR,
                "args": json.dumps([task.pk, trigger.id]),
                "enabled": task.enabled,
                "one_off": trigger.kind == "at",
                "crontab": None,
                "interval": None,
                "clocked": None,
                **schedule,
            },
        )
    for row in PeriodicTask.objects.filter(name__startswith=prefix, task=DOOR).exclude(name__in=kept):
        row.delete()


def forget_future(now: datetime) -> int:
    """Beat does not fire a row before it last fired: after the clock was set back, not for as long as that. Gives how
    many rows were freed; beat reads them at its start."""
    freed: int = PeriodicTask.objects.filter(last_run_at__gt=now).update(last_run_at=None)
    return freed


def ensure_tick() -> None:
    """The safety net: one row that looks at every trigger each minute."""
    PeriodicTask.objects.update_or_create(
        name=TICK,
        defaults={"task": "tasks.tick", "crontab": _crontab("* * * * *"), "interval": None, "enabled": True},
    )
    PeriodicTask.objects.update_or_create(
        name=SIGN,
        defaults={
            "task": "processes.beat_arrived",
            "interval": _interval(5),
            "crontab": None,
            "enabled": True,
        },
    )


def _schedule(trigger: Trigger) -> dict[str, Any] | None:
    if trigger.kind == "cron":
        expression = str(trigger.cron)
        plain = len(expression.split()) == 5 and trigger.timezone in (None, "UTC")
        return {"crontab": _crontab(expression if plain else "* * * * *")}
    if trigger.kind == "every" and trigger.every is not None:
        seconds = max(1, int(trigger.every.total_seconds()))
        return {"interval": _interval(seconds)}
    if trigger.kind == "at" and trigger.at is not None:
        at = trigger.at.astimezone(UTC)
        return {"clocked": ClockedSchedule.objects.get_or_create(clocked_time=at)[0]}
    return None


def _crontab(expression: str) -> CrontabSchedule:
    minute, hour, day, month, weekday = expression.split()
    fields = {
        "minute": minute,
        "hour": hour,
        "day_of_month": day,
        "month_of_year": month,
        "day_of_week": weekday,
        "timezone": "UTC",
    }
    found = CrontabSchedule.objects.filter(**fields).first()
    return found or CrontabSchedule.objects.create(**fields)


def _interval(seconds: int) -> IntervalSchedule:
    found = IntervalSchedule.objects.filter(every=seconds, period="seconds").first()
    return found or IntervalSchedule.objects.create(every=seconds, period="seconds")
