"""Holds tasks whose runs did what they did not declare, where the box's settings say so."""

import logging
from datetime import datetime

from django.db import transaction

from appliance.accounts.principal import BOX
from appliance.audit.services import append_here
from appliance.sandbox import findings
from appliance.sandbox.models import Finding
from appliance.tasks.models import Task
from appliance.tasks.services import hold as hold_task

log = logging.getLogger(__name__)


def quarantine(hold: bool, now: datetime) -> list[str]:
    """Look at each finding once; the names of the tasks that were held for them.

    Only the version that did it is held: where another is current by now, somebody has seen to it. A person who looked
    switches the task on again. Until then no start gets past it, not that of a calling task or a person either.
    """
    held = []
    for found in findings.unhandled():
        with transaction.atomic():
            if findings.handle(found) and hold and (name := _held(found, now)):
                held.append(name)
    return held


def _held(found: Finding, now: datetime) -> str | None:
    task = Task.objects.filter(pk=found.task_id, current_id=found.version_id, held=False).first()
    if task is None:
        return None
    hold_task(task.name, BOX, now)
    detail = {"run": str(found.run_id), "step": found.step, "did": found.words}
    append_here("task.held", str(BOX), task.name, detail)
    log.warning("task %s is held: run %s did what it does not declare", task.name, found.run_id)
    return task.name
