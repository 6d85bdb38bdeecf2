"""``misfire: ask``: a durable question about missed times, answered exactly once, by chat or in the web admin."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import BOX, Principal, hand_of
from appliance.audit.services import AuditEntry, append
from appliance.events import MisfireQuestion
from appliance.events.services import record, record_many
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.safety.policy.origins import word_of
from appliance.safety.read_only import refuse_changes
from appliance.tasks import notices
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.models import Occurrence, Question, QuestionState, TaskTrigger
from appliance.tasks.ports import NewRun, RunStarter
from appliance.tasks.services import definition_of

MOST_ASKED = 100
"""Missed times that one question is about: the newest ones."""

PATIENCE = timedelta(days=1)
"""How long a question stays open where the task names no ``valid_for``."""

KEPT = timedelta(days=90)
"""How long settled questions are kept; who answered what is on the audit record for ever."""

_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Of codes that people type on a phone: none that looks like another."""


class Choice(StrEnum):
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"
    SKIP = "skip"


class QuestionNotOpen(MillwrightError):
    """Nobody asks this (any more): unknown, expired, or answered by somebody else."""

    code = "questions.not_open"


@dataclass(frozen=True, slots=True)
class Answered:
    task: str
    choice: Choice
    runs: list[UUID]
    refused: str = ""
    """Why a run was not let in, where one was not."""


def ask(row: TaskTrigger, definition: TaskDefinition, dues: Sequence[datetime], now: datetime) -> Question:
    """Ask about these missed times, in the current transaction; an open question of the trigger takes them in."""
    until = dues[-1] + definition.valid_for if definition.valid_for else now + PATIENCE
    open_one = (
        Question.objects.select_for_update()
        .filter(task=row.task, trigger=row.trigger, state=QuestionState.OPEN.value)
        .first()
    )
    question = open_one or Question(
        task=row.task, trigger=row.trigger, code=_new_code(), asked_at=now, dues=[], missed=0
    )
    known = set(question.dues)
    fresh = [text for due in dues if (text := due.isoformat()) not in known]
    question.dues = [*question.dues, *fresh][-MOST_ASKED:]
    question.missed += len(fresh)
    question.expires_at = max(until, question.expires_at or until)
    question.save()
    notices.tell(question, definition.name)
    with connection.cursor() as cursor:
        record(cursor, _event(question, definition.name, BOX.name))
        detail: JsonObject = {
            "task": definition.name,
            "trigger": row.trigger,
            "missed": question.missed,
        }
        append(cursor, [AuditEntry("misfire.asked", BOX.name, question.code, detail)])
    return question


def _new_code() -> str:
    """Short enough to type. A code that was used before is refused by its index, and asked for again."""
    return "".join(secrets.choice(_LETTERS) for _ in range(5))


def open_questions(now: datetime, task_id: int | None = None) -> list[Question]:
    """What waits for an answer, oldest first."""
    rows = Question.objects.filter(state=QuestionState.OPEN.value, expires_at__gt=now).select_related("task")
    if task_id is not None:
        rows = rows.filter(task_id=task_id)
    return list(rows.order_by("asked_at")[:20])


def answer(
    code: str,
    choice: Choice,
    by: Principal,
    now: datetime,
    start: RunStarter,
    *,
    key: str = "",
    origin: str = "",
) -> Answered:
    """Answer a question: the first one to do so decides. Raises QuestionNotOpen, NotAllowed, ReadOnlyNow.

    What runs is judged by how it was answered too; without an ``origin`` that is told from ``by``.
    With a ``key``, the same command handled again after a crash gets the same answer and starts nothing.
    """
    refuse_changes(by)
    asked = Question.objects.select_related("task").filter(code=code.upper()).first()
    by.require(Ability.RUN_TASKS, task=asked.task.name if asked else None)
    with transaction.atomic():
        won = Question.objects.filter(
            code=code.upper(), state=QuestionState.OPEN.value, expires_at__gt=now
        ).update(
            state=QuestionState.ANSWERED.value,
            answer=choice.value,
            answered_by=by.name,
            answered_at=now,
            answer_key=key,
        )
        question = Question.objects.select_related("task__current").filter(code=code.upper()).first()
        if not won:
            return _answered_before(question, code, choice, key)
        assert question is not None
        also = (origin,) if origin else word_of(by.name)
        return _carry_out(question, choice, by, also, now, start)


def _answered_before(question: Question | None, code: str, choice: Choice, key: str) -> Answered:
    if question is None:
        raise QuestionNotOpen(say("there is no question %(code)r", code=code))
    if question.state == QuestionState.ANSWERED.value:
        if key and question.answer_key == key:
            ids = [_occurrence_of(question, datetime.fromisoformat(text)) for text in question.dues]
            started = Occurrence.objects.filter(pk__in=ids).values_list("run_id", flat=True)
            return Answered(question.task.name, choice, [run for run in started if run is not None])
        raise QuestionNotOpen(
            say(
                "%(who)s has answered %(code)s already: %(answer)s",
                who=question.answered_by,
                code=question.code,
                answer=question.answer,
            )
        )
    raise QuestionNotOpen(
        say("the question %(code)s has expired: those times stay missed", code=question.code)
    )


def _carry_out(
    question: Question,
    choice: Choice,
    by: Principal,
    also: tuple[str, ...],
    now: datetime,
    start: RunStarter,
) -> Answered:
    task = question.task
    runs: list[UUID] = []
    refused = ""
    if choice is not Choice.SKIP:
        if task.current is None or not task.enabled:
            raise QuestionNotOpen(
                say("the task %(task)r is switched off: nothing of it runs", task=task.name)
            )
        definition = definition_of(task.current)
        for due in chosen(question.dues, choice, now, definition.valid_for):
            new = _run_for(question, definition, due, choice, by, also, now)
            admission = start(new)
            occurrence_id = _occurrence_of(question, due)
            said = f"missed; {by.name} said {choice.value}"
            if admission.runs:
                runs.append(new.id)
            else:
                refused, said = admission.reason, f"{said}; {admission.reason}"
            Occurrence.objects.filter(pk=occurrence_id, run_id=None).update(
                run_id=new.id if admission.runs else None, reason=said[:500]
            )
    notices.settle(question, choice.value, hand_of(by.name), now)
    with connection.cursor() as cursor:
        record(cursor, _event(question, task.name, by.name))
        detail: JsonObject = {
            "task": task.name,
            "choice": choice.value,
            "runs": [str(run) for run in runs],
        }
        append(cursor, [AuditEntry("misfire.answered", by.name, question.code, detail)])
    return Answered(task.name, choice, runs, refused)


def chosen(dues: Sequence[str], choice: Choice, now: datetime, valid_for: timedelta | None) -> list[datetime]:
    """Pure: the times that run, in order; what has become too old since the question does not."""
    times = sorted(datetime.fromisoformat(text) for text in dues)
    valid = [due for due in times if valid_for is None or now - due <= valid_for]
    return valid[-1:] if choice is Choice.RUN_ONCE else valid if choice is Choice.RUN_ALL else []


def _run_for(
    question: Question,
    definition: TaskDefinition,
    due: datetime,
    choice: Choice,
    by: Principal,
    also: tuple[str, ...],
    now: datetime,
) -> NewRun:
    task_id = str(question.task_id)
    kind = next((t.kind.value for t in definition.triggers if t.id == question.trigger), "cron")
    return NewRun(
        id=uuid_at(due, "run", task_id, question.trigger),
        task_id=question.task_id,
        version_id=question.task.current_id or 0,
        definition=definition,
        principal=by.name,
        origin=kind,
        also=also,
        trigger=question.trigger,
        inputs={"event": {"type": kind, "due_at": due.isoformat()}},
        reason=f"missed; {by.name} said {choice.value}",
        occurrence_id=_occurrence_of(question, due),
        in_turn=choice is Choice.RUN_ALL,
        wanted_at=now,
    )


def _occurrence_of(question: Question, due: datetime) -> UUID:
    return uuid_at(due, "occurrence", str(question.task_id), question.trigger)


def expire(now: datetime) -> int:
    """Close what nobody answered in time; its times stay missed. Gives how many were closed."""
    with transaction.atomic(), connection.cursor() as cursor:
        gone = list(
            Question.objects.select_for_update(of=("self",))
            .select_related("task")
            .filter(state=QuestionState.OPEN.value, expires_at__lte=now)[:200]
        )
        for question in gone:
            question.state = QuestionState.EXPIRED.value
            question.save(update_fields=["state"])
            notices.settle_unanswered(question, now)
        record_many(cursor, [_event(question, question.task.name, BOX.name) for question in gone])
        settled = Question.objects.exclude(state=QuestionState.OPEN.value)
        settled.filter(expires_at__lt=now - KEPT).delete()
    return len(gone)


def _event(question: Question, task: str, principal: str) -> MisfireQuestion:
    return MisfireQuestion(
        code=question.code,
        task=task,
        trigger=question.trigger,
        state=question.state,
        missed=question.missed,
        answer=question.answer,
        principal=principal,
    )
