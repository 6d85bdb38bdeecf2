"""A sentence in a chat becomes an occurrence and a run, once for each message (P1)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import AuditEntry, append
from appliance.events import OccurrenceRecorded
from appliance.events.services import record
from appliance.expressions import ExpressionError, StateNeeded
from appliance.lib.identity import uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object
from appliance.runs import hints, origins, tally
from appliance.runs.services import insert_run
from appliance.safety.policy.origins import started_by
from appliance.safety.read_only import refuse_changes
from appliance.tasks.firing import insert_occurrence, occurrence_refused
from appliance.tasks.matching import Fired, Refused, decide, event_scope
from appliance.tasks.models import Occurrence, OccurrenceState, Task
from appliance.tasks.phrase_table import Heard, Meant
from appliance.tasks.ports import Admission, NewRun

LONGEST_ANSWER = 2000


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a known person. ``key`` and ``at`` are the same when it is handled a second time.

    ``origin`` is empty where it came by a token: then that says it. ``forwarded``: the words are somebody else's.
    """

    heard: Heard
    key: str
    at: datetime
    origin: str
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """What came of it: a run, or why there is none. ``answer`` is what the task wants said; empty: the usual."""

    task: str
    run_id: UUID | None
    reason: str = ""
    answer: str = ""
    waits: bool = False
    """It has to wait until another run of its task is over."""


def begin(meant: Meant, message: Message, by: Principal) -> Begun:
    """Start the task whose sentence it is. The same message starts one run, whatever the tasks say by then.

    Raises NotAllowed, ReadOnlyNow.
    """
    refuse_changes(by)
    name = meant.armed.definition.name
    by.require(Ability.RUN_TASKS, task=name)
    before = Occurrence.objects.filter(pk=_identity("occurrence", message)).first()
    if before is not None:
        # That of the task which it started then: another one may have the sentence by now.
        began = Task.objects.filter(pk=before.task_id).values_list("name", flat=True).first() or name
        return Begun(began, before.run_id, before.reason if before.run_id is None else "")
    decision = _decision(meant, message)
    with transaction.atomic():
        if isinstance(decision, Refused):
            _trace(decision, message.at)
            return Begun(name, None, decision.reason)
        run_id, admission = _fire(decision, message, by)
    if not admission.runs:
        return Begun(name, None, admission.reason)
    hints.look_at([run_id])
    return Begun(name, run_id, answer=_answer(decision, message.at), waits=admission.waits)


def run_of(message: Message) -> UUID:
    """The run that this message starts, where it starts one: known before it is there."""
    return _identity("run", message)


def _identity(what: str, message: Message) -> UUID:
    """Of the message alone: a task that was changed meanwhile does not make another one of it."""
    return uuid_at(message.at, what, "chat", message.key)


def _decision(meant: Meant, message: Message) -> Fired | Refused:
    heard = Heard(meant.text, message.heard.platform, message.heard.conversation, message.heard.person)
    inputs = plain_object(
        {
            "payload": heard.to_json(),
            "captures": dict(meant.captures),
            "event": {
                "type": "chat",
                "platform": heard.platform,
                "conversation": heard.conversation,
                **({"forwarded": True} if message.forwarded else {}),
            },
        }
    )
    reason = f"{heard.person}: {heard.text[:200]}"
    return decide(meant.armed, inputs, {"payload": heard.to_json()}, reason, message.at)


def _fire(fired: Fired, message: Message, by: Principal) -> tuple[UUID, Admission]:
    armed, trigger = fired.armed, fired.armed.trigger.id or ""
    origin, also = (message.origin, ()) if message.origin else started_by(by.name)
    new = NewRun(
        id=_identity("run", message),
        task_id=armed.task_id,
        version_id=armed.version_id,
        definition=armed.definition,
        principal=by.name,
        origin=origin,
        also=also,
        trigger=trigger,
        inputs=fired.inputs,
        reason=fired.reason,
        occurrence_id=_identity("occurrence", message),
        wanted_at=message.at,
    )
    occurrence_id = _identity("occurrence", message)
    if not insert_occurrence(
        occurrence_id=occurrence_id,
        task_id=armed.task_id,
        trigger=trigger,
        due_at=message.at,
        state=OccurrenceState.FIRED,
        reason=fired.reason,
        event=fired.inputs,
        run_id=new.id,
    ):
        return new.id, Admission(OccurrenceState.FIRED)
    admission = insert_run(new)
    if not admission.runs:
        occurrence_refused(occurrence_id, admission)
    _tell(new, admission, by)
    return new.id, admission


def _tell(new: NewRun, admission: Admission, by: Principal) -> None:
    """The counters of the trigger, the event and the audit record, in the same transaction."""
    task, refused = new.definition.name, "" if admission.runs else admission.reason
    whence: JsonObject = origins.on_record(new.origin, new.also)
    entry = (
        AuditEntry("run.refused", by.name, task, {**whence, "reason": refused})
        if refused
        else AuditEntry("run.started", by.name, str(new.id), {**whence, "task": task})
    )
    told = OccurrenceRecorded(
        occurrence_id=str(new.occurrence_id),
        task=task,
        trigger=new.trigger,
        state=admission.state.value,
        reason=refused,
        run_id="" if refused else str(new.id),
    )
    counts = {(new.task_id, new.trigger): [0, 1, 0] if refused else [1, 0, 0]}
    with connection.cursor() as cursor:
        cursor.execute(tally.COUNT, tally.counters(counts, new.wanted_at))
        record(cursor, told)
        append(cursor, [entry])


def _trace(refused: Refused, now: datetime) -> None:
    key = (refused.armed.task_id, refused.armed.trigger.id or "")
    with connection.cursor() as cursor:
        cursor.execute(tally.COUNT, tally.counters({key: [0, 0, 1] if refused.failed else [0, 1, 0]}, now))
        cursor.execute(tally.TRACE, tally.traces([refused], now))


def _answer(fired: Fired, now: datetime) -> str:
    """What the task wants said; nothing where its text fails, for the run has started."""
    chat = fired.armed.trigger.chat
    if chat is None or chat.answer is None:
        return ""
    try:
        said = chat.answer.render(event_scope(fired.armed.definition, fired.inputs, now))
    except (ExpressionError, StateNeeded):
        return ""
    return str(said).strip()[:LONGEST_ANSWER]
