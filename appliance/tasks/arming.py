"""Loads the triggers of all enabled tasks for the process that matches events."""

from appliance.tasks.matching import Armed, TriggerTable
from appliance.tasks.models import Task
from appliance.tasks.services import definition_of


def load_table() -> TriggerTable:
    """The table of every enabled task's current version."""
    armed = []
    for task in Task.objects.filter(enabled=True, current__isnull=False).select_related("current"):
        assert task.current is not None
        definition = definition_of(task.current)
        armed += [Armed(task.pk, task.current.pk, definition, trigger) for trigger in definition.triggers]
    return TriggerTable(armed)
