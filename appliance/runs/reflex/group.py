"""What one group commit carries, as the texts that the database function takes: pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from appliance.audit.chain import LONGEST_DETAIL, AuditEntry, body_of
from appliance.bus.services import TopicValue, last_of_each
from appliance.events import Event, OccurrenceRecorded, RunChanged, StepChanged
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain
from appliance.runs.domain import FINAL
from appliance.runs.reflex.choice import LaneName
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.intent import Intent
from appliance.runs.reflex.purse import parameters, together
from appliance.runs.reflex.queued import occurrence_of, queued_events, queued_row
from appliance.runs.rows import StepWrite
from appliance.tasks.ports import NewRun

LARGEST_RECORD = 48 * 1024
"""Bytes of intents in one audit record, roughly; a group with more gets several."""


@dataclass(slots=True)
class Group:
    """Everything that is waiting when a commit starts."""

    values: Sequence[TopicValue] = ()
    launched: list[Flight] = field(default_factory=list)
    intents: list[tuple[Flight, Intent]] = field(default_factory=list)
    landed: list[Flight] = field(default_factory=list)
    queued: list[NewRun] = field(default_factory=list)
    """Runs for the worker lane, which nothing keeps from running at once."""
    counters: list[JsonObject] = field(default_factory=list)

    def __bool__(self) -> bool:
        runs = self.launched or self.intents or self.landed or self.queued
        return bool(self.values or runs or self.counters)

    def parameters(self, now: datetime) -> dict[str, Any]:
        """The arguments of ``sql.COMMIT`` but the fencing ones."""
        return {
            "values": _text(last_of_each(self.values)),
            "occurrences": _text(self._occurrences()),
            "runs": _text(
                [*(_run(flight, now) for flight in self.landed), *(queued_row(run) for run in self.queued)]
            ),
            "steps": _text([_step(flight, write) for flight in self.landed for write in flight.writes]),
            "lines": _text(
                [
                    {"run_id": flight.run_id, "target": flight.end.target}
                    for flight in self.landed
                    if flight.end and flight.end.target
                ]
            ),
            "outbox": _text([_item(item) for flight in self.landed for item in flight.outbox]),
            "events": _text([_event(event) for event in self._told()]),
            "counters": _text(self.counters),
            **parameters(together(intent for _, intent in self.intents), now),
            "audit": _text([_record(entry) for entry in (*self._refusals(), *_audit(self.intents, now))]),
        }

    def _occurrences(self) -> list[dict[str, Any]]:
        return [
            *(occurrence_of(flight.run, flight.created_at) for flight in self.launched),
            *(occurrence_of(run, run.wanted_at) for run in self.queued),
        ]

    def _told(self) -> Iterable[Event]:
        for flight in self.landed:
            yield from _events(flight)
        for run in self.queued:
            yield from queued_events(run)

    def _refusals(self) -> Iterable[AuditEntry]:
        return (entry for flight in self.landed for entry in flight.refused)


_encode = msgspec.json.Encoder().encode
"""Takes identifiers and times as they are. It writes a number that JSON has no word for as null: see `_text`."""
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


def _text(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The rows as JSON that PostgreSQL takes, or None for no rows.

    What comes from outside was washed (`lib.plain`) where it came in. All is washed once more only where the text
    shows that it must be.
    """
    if not rows:
        return None
    try:
        text = _encode(rows)
    except (ValueError, TypeError, RecursionError):  # half of a surrogate pair, a value of a foreign type
        return json.dumps(plain(rows))
    return json.dumps(plain(rows)) if b"\\u0000" in text else text.decode()


def _run(flight: Flight, now: datetime) -> dict[str, Any]:
    run, end = flight.run, flight.end
    assert end is not None
    timeout = run.definition.timeout
    return {
        "id": flight.run_id,
        "task_id": run.task_id,
        "version_id": run.version_id,
        "occurrence_id": run.occurrence_id,
        "lane": LaneName.REFLEX.value,
        "state": end.state.value,
        "waiting_for": end.waiting_for.value if end.waiting_for else "",
        "reason": end.reason[:1000],
        "warning": flight.warning[:1000],
        "principal": run.principal,
        "origin": run.origin,
        "trigger": run.trigger,
        "priority": run.definition.priority.rank,
        "wake_at": end.wake_at,
        "deadline": flight.created_at + timeout if timeout else None,
        "created_at": flight.created_at,
        "finished_at": now if end.state in FINAL else None,
    }


def _step(flight: Flight, write: StepWrite) -> dict[str, Any]:
    return {
        "run_id": flight.run_id,
        "step": write.step,
        "attempt": write.attempt,
        "position": write.position,
        "phase": write.phase.value,
        "kind": write.kind,
        "effect": write.effect.value,
        "state": write.state.value,
        "input": write.input,
        "output": write.output,
        "detail": write.detail,
        "error": write.error[:2000],
        "checkpoint": write.checkpoint,
        "due_at": write.due_at,
        "started_at": write.started_at,
        "finished_at": write.finished_at,
    }


def _item(item: Any) -> dict[str, Any]:
    return {
        "id": item.id,
        "key": item.key[:300],
        "platform": item.platform[:64],
        "conversation": item.conversation[:200] if item.conversation else None,
        "message": plain(item.message),
        "run_id": item.run_id,
        "step_id": (item.step_id or "")[:100],
        "priority": item.priority,
        "about": item.about[:200],
        "expires_at": item.expires_at,
    }


def _events(flight: Flight) -> Iterable[Event]:
    """What happened, told when it is over: an instant run is never seen on its way."""
    run, end = flight.run, flight.end
    assert end is not None
    run_id, task = flight.run_id, run.definition.name
    yield OccurrenceRecorded(
        occurrence_id=str(run.occurrence_id), task=task, trigger=run.trigger, state="fired", run_id=run_id
    )
    for write in flight.writes:
        yield StepChanged(
            run_id=run_id,
            step=write.step,
            state=write.state.value,
            task=task,
            kind=write.kind,
            attempt=write.attempt,
            error=write.error[:500],
        )
    yield RunChanged(
        run_id=run_id,
        task=task,
        state=end.state.value,
        waiting_for=end.waiting_for.value if end.waiting_for else "",
        reason=end.reason[:1000],
        principal=run.principal,
    )


def _event(event: Event) -> JsonObject:
    return {"type": event.type, "subject": event.subject, "data": event.to_json()}


def _audit(intents: Sequence[tuple[Flight, Intent]], now: datetime) -> Iterable[AuditEntry]:
    """One link of the chain for all intents of the commit, or a few where they are long."""
    rows: list[JsonValue] = []
    size = 0
    for flight, intent in intents:
        row = _intent(flight, intent)
        length = 200 + len(str(row["arguments"]))
        if rows and size + length > LARGEST_RECORD:
            yield AuditEntry("steps.intent", "box", "reflex", {"steps": rows}, now)
            rows, size = [], 0
        rows.append(row)
        size += length
    if rows:
        yield AuditEntry("steps.intent", "box", "reflex", {"steps": rows}, now)


def _record(entry: AuditEntry) -> JsonObject:
    """A record for ``audit_append``: its body is the exact text that is hashed, as `audit.chain.body_of` makes it."""
    about: JsonObject = {
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "kind": entry.kind,
        "principal": entry.principal,
        "subject": entry.subject,
    }
    try:
        body = _encode_sorted({**about, "detail": entry.detail}).decode()
    except (ValueError, TypeError, RecursionError):
        body = ""
    if not body or len(body) > LONGEST_DETAIL or "\\u0000" in body:
        body = body_of(entry)
    return {**about, "body": body}


def _intent(flight: Flight, intent: Intent) -> JsonObject:
    return {
        "step": f"{flight.run_id}/{intent.following.spec.id}",
        "task": flight.definition.name,
        "principal": flight.run.principal,
        "kind": intent.following.spec.type,
        "effect": intent.effect.value,
        "arguments": intent.arguments,
        "attempt": intent.following.attempt,
        "rule": intent.rule,
    }
