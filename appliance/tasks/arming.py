"""Loads the triggers of all enabled tasks for the process that matches events."""

import logging

from appliance.tasks.matching import Armed, TriggerTable
from appliance.tasks.models import Task
from appliance.tasks.services import definition_of

log = logging.getLogger(__name__)


def load_table() -> TriggerTable:
    """The table of every enabled task's current version."""
    armed = []
    for task in Task.objects.filter(enabled=True, current__isnull=False).select_related("current"):
        assert task.current is not None
        try:
            definition = definition_of(task.current)
        except Exception:
            # One version that this release cannot read must not make the box deaf to all others.
            log.exception("task %s cannot be read, and is not armed", task.name)
            continue
        armed += [Armed(task.pk, task.current.pk, definition, trigger) for trigger in definition.triggers]
    return TriggerTable(armed)
