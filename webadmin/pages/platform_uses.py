"""Which tasks write to a platform."""

from collections.abc import Iterator
from typing import Any

from appliance.tasks.models import Task

MOST = 50


def tasks_that_tell(name: str) -> list[str]:
    """The names of tasks with a notification for this platform, at most fifty of them."""
    rows = Task.objects.filter(current__text__contains=name).values_list("name", "current__definition")
    return [task for task, definition in rows.order_by("name") if name in set(_told(definition))][:MOST]


def _told(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "notification" and isinstance(value.get("platform"), str):
            yield value["platform"]
        for inner in value.values():
            yield from _told(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _told(inner)
