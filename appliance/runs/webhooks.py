"""A webhook's call becomes an occurrence and a run, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F

from appliance.events import OccurrenceRecorded
from appliance.events.services import record
from appliance.lib.crashpoints import reach
from appliance.lib.digest import sha256_hex
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid7, uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object
from appliance.runs import hints, holds
from appliance.runs.asking import answer
from appliance.runs.services import insert_run
from appliance.safety.secrets import resolve
from appliance.tasks.definition import TaskDefinition, Trigger
from appliance.tasks.firing import insert_occurrence
from appliance.tasks.matching import Armed, Fired, PayloadError, Refused, decide, decode
from appliance.tasks.models import NotTriggered, Task, TaskTrigger, WebhookSeen
from appliance.tasks.ports import Admission, NewRun
from appliance.tasks.services import definition_of
from appliance.tasks.webhooks import NoSuchWebhook, WebhookRefused, verify


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came."""

    name: str
    headers: Mapping[str, str]
    body: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told."""

    runs: list[UUID] = field(default_factory=list)
    note: str = ""

    @property
    def fired(self) -> bool:
        return bool(self.runs)

    def to_json(self) -> JsonObject:
        return {"runs": [str(run) for run in self.runs], "note": self.note}


def deliver(call: Call) -> Answer:
    """Start every task whose webhook this is and whose secret the caller proved, in the caller's transaction.

    Raises WebhookRefused when there is none, NoSuchWebhook when no task listens on its name.
    """
    found = list(_listeners(call.name))
    if not found:
        raise NoSuchWebhook(f"no task listens on {call.name}")
    runs: list[UUID] = []
    notes: list[str] = []
    refusals: list[WebhookRefused] = []
    for task, definition, trigger in found:
        assert trigger.webhook is not None
        try:
            secret = _secret(trigger.webhook.secret_name)
            unique = verify(trigger.webhook, secret, call.headers, call.body, call.now)
        except WebhookRefused as refusal:
            refusals.append(refusal)
            continue
        if unique and not _first_time(call, trigger, unique):
            notes.append("seen before: not run again")
            continue
        decision = _decide(task, definition, trigger, call)
        if holds.waits(decision):
            with connection.cursor() as cursor:
                noted = answer(cursor, holds.take([decision]))
            for refused in noted.refused:
                _trace(task, trigger, refused, call.now)
            notes.append(f"fires when nothing has come for {trigger.debounce}")
        elif isinstance(decision, Fired):
            run_id, admission = _start(task, definition, trigger, decision, call.now)
            if admission.runs:
                runs.append(run_id)
                continue
            notes.append(admission.reason)
        else:
            _trace(task, trigger, decision, call.now)
            notes.append(decision.reason)
    if len(refusals) == len(found):
        raise refusals[0]
    hints.look_at(runs)
    reach("webhook.before_commit")
    return Answer(runs, "; ".join(dict.fromkeys(notes)))


def _secret(name: str) -> str:
    """A webhook whose secret nobody has set refuses everybody; only the log says why."""
    try:
        return resolve(f"secret:{name}")
    except MillwrightError as error:
        raise WebhookRefused(f"its secret is not set: {error}") from error


def _listeners(name: str) -> list[tuple[Task, TaskDefinition, Trigger]]:
    rows = TaskTrigger.objects.filter(kind="webhook", active=True, task__current__isnull=False)
    found = []
    for row in rows.select_related("task__current"):
        assert row.task.current is not None
        definition = definition_of(row.task.current)
        trigger = next((t for t in definition.triggers if t.id == row.trigger), None)
        if trigger is not None and trigger.webhook is not None and trigger.webhook.name == name:
            found.append((row.task, definition, trigger))
    return found


def _first_time(call: Call, trigger: Trigger, unique: str) -> bool:
    digest = sha256_hex([call.name, trigger.id or "", unique])
    _, created = WebhookSeen.objects.get_or_create(digest=digest, defaults={"at": call.now})
    return created


def _decide(task: Task, definition: TaskDefinition, trigger: Trigger, call: Call) -> Fired | Refused:
    assert trigger.webhook is not None
    armed = Armed(task.pk, task.current_id or 0, definition, trigger)
    seen: JsonObject = {"webhook": call.name, "body": call.body[:4096].decode(errors="replace")}
    try:
        payload = decode(call.body, trigger.webhook.payload)
    except PayloadError as error:
        return Refused(armed, str(error), seen, failed=True)
    inputs: JsonObject = {"payload": payload, "event": {"type": "webhook", "name": call.name}}
    return decide(armed, inputs, seen, f"webhook {call.name}", call.now)


def _start(
    task: Task, definition: TaskDefinition, trigger: Trigger, fired: Fired, now: datetime
) -> tuple[UUID, Admission]:
    run_id, occurrence_id = uuid7(), uuid_at(now, str(task.pk), str(trigger.id), str(uuid7()))
    inputs = plain_object(fired.inputs)
    admission = insert_run(
        NewRun(
            id=run_id,
            task_id=task.pk,
            version_id=task.current_id or 0,
            definition=definition,
            principal=f"trigger:{definition.name}/{trigger.id}",
            origin="webhook",
            trigger=str(trigger.id),
            inputs=inputs,
            reason=fired.reason,
            occurrence_id=occurrence_id,
            wanted_at=now,
        )
    )
    if admission.limited:
        _trace(task, trigger, Refused(fired.armed, admission.reason, {"payload": inputs.get("payload")}), now)
        return run_id, admission
    insert_occurrence(
        occurrence_id=occurrence_id,
        task_id=task.pk,
        trigger=str(trigger.id),
        due_at=now,
        state=admission.state,
        reason=fired.reason if admission.runs else admission.reason,
        event=inputs,
        run_id=run_id if admission.runs else None,
    )
    _count(task, trigger, "fired" if admission.runs else "refused", now)
    with connection.cursor() as cursor:
        record(
            cursor,
            OccurrenceRecorded(
                occurrence_id=str(occurrence_id),
                task=definition.name,
                trigger=str(trigger.id),
                state=admission.state.value,
                reason="" if admission.runs else admission.reason,
                run_id=str(run_id) if admission.runs else "",
            ),
        )
    return run_id, admission


def _trace(task: Task, trigger: Trigger, refused: Refused, now: datetime) -> None:
    _count(task, trigger, "failed" if refused.failed else "refused", now)
    NotTriggered.objects.create(
        task=task, trigger=str(trigger.id), at=now, reason=refused.reason, event=plain_object(refused.event)
    )


def _count(task: Task, trigger: Trigger, counter: str, now: datetime) -> None:
    rows = TaskTrigger.objects.filter(task=task, trigger=trigger.id)
    rows.update(**{counter: F(counter) + 1})
    if counter == "fired":
        rows.update(last_fired_at=now)
