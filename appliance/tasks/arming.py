"""Loads the triggers of all enabled tasks for the process that matches events."""

import logging

from django.db import connection
from django.db.models import QuerySet

from appliance.tasks.definition import TriggerKind
from appliance.tasks.matching import Armed, TriggerTable
from appliance.tasks.models import Task, TaskTrigger
from appliance.tasks.phrase_table import PhraseTable
from appliance.tasks.services import definition_of
from appliance.tasks.sql import READ_REVISION

log = logging.getLogger(__name__)


def load_phrases() -> PhraseTable:
    """The sentences of every enabled task's current version."""
    rows = TaskTrigger.objects.filter(kind=TriggerKind.CHAT, active=True, task__current__isnull=False)
    tasks = Task.objects.filter(pk__in=rows.values("task_id"), enabled=True)
    return PhraseTable(_armed(tasks))


class Phrases:
    """The table of sentences, read again when a task has changed. Used in Django's one thread of its process."""

    def __init__(self) -> None:
        self._revision = -1
        self._table = PhraseTable([])

    def table(self) -> PhraseTable:
        with connection.cursor() as cursor:
            cursor.execute(READ_REVISION)
            row = cursor.fetchone()
        revision = row[0] if row else 0
        if revision != self._revision:
            self._table = load_phrases()
            self._revision = revision
        return self._table


def load_table() -> TriggerTable:
    """The table of every enabled task's current version."""
    return TriggerTable(_armed(Task.objects.filter(enabled=True, current__isnull=False)))


def _armed(tasks: QuerySet[Task]) -> list[Armed]:
    armed = []
    for task in tasks.select_related("current"):
        assert task.current is not None
        try:
            definition = definition_of(task.current)
        except Exception:
            # One version that this release cannot read must not make the box deaf to all others.
            log.exception("task %s cannot be read, and is not armed", task.name)
            continue
        armed += [Armed(task.pk, task.current.pk, definition, trigger) for trigger in definition.triggers]
    return armed
