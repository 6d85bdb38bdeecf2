"""What the Celery doors of tasks call; the composition root wires who starts runs."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from appliance.accounts.principal import Principal
from appliance.tasks import questions
from appliance.tasks.ahead import pull_back
from appliance.tasks.firing import due_triggers, fire_due
from appliance.tasks.ports import RunStarter

log = logging.getLogger(__name__)

_start: RunStarter | None = None
_hint: Callable[[Sequence[UUID]], None] | None = None


def wire(start: RunStarter, hint: Callable[[Sequence[UUID]], None]) -> None:
    """Called once, by the app that knows runs."""
    global _start, _hint
    _start, _hint = start, hint


def starter() -> RunStarter:
    if _start is None:
        raise RuntimeError("no run starter wired: appliance.runs is not installed")
    return _start


def look_at_trigger(task_id: int, trigger_id: str, now: datetime) -> list[UUID]:
    runs = fire_due(task_id, trigger_id, now, starter())
    if runs and _hint is not None:
        _hint(runs)
    return runs


def answer_question(
    code: str, choice: questions.Choice, by: Principal, now: datetime, *, key: str = "", origin: str = ""
) -> questions.Answered:
    """Answer a question about missed times. Raises QuestionNotOpen and NotAllowed."""
    answered = questions.answer(code, choice, by, now, starter(), key=key, origin=origin)
    if answered.runs and _hint is not None:
        _hint(answered.runs)
    return answered


def look_at_all(now: datetime) -> int:
    """Look at all that is due; gives how many runs were started. One bad trigger does not stop the others."""
    questions.expire(now)
    try:
        pull_back(now)
    except Exception:
        log.exception("triggers whose last due time lies in the future")
    started = 0
    for task_id, trigger in due_triggers(now):
        try:
            started += len(look_at_trigger(task_id, trigger, now))
        except Exception:
            log.exception("trigger %s of task %s", trigger, task_id)
    return started
