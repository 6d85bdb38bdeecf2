"""What is put to the gate, and what is put on record before a step acts: pure."""

from dataclasses import replace
from datetime import datetime

from appliance.actions.contract import EffectClass
from appliance.audit.services import AuditEntry
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.domain import StepState
from appliance.runs.plan import Next
from appliance.runs.rows import StepWrite, row_of
from appliance.safety.gate import Action, Verdict


def _command(verdict: Verdict, *, short: bool = False) -> JsonObject:
    """What the gate understood of the step's command, if it has one."""
    if verdict.command is None:
        return {}
    return {"command": verdict.command.in_short() if short else verdict.command.as_json()}


def intent_of(
    following: Next,
    now: datetime,
    effect: EffectClass,
    arguments: JsonObject,
    verdict: Verdict,
) -> StepWrite:
    """A step that is about to act."""
    write = row_of(following, StepState.INTENT, effect, now, arguments)
    detail = _command(verdict, short=True) or None
    return replace(write, checkpoint=following.resumed_from, detail=detail)


def asking_of(following: Next, now: datetime, effect: EffectClass, arguments: JsonObject) -> StepWrite:
    """A step that waits for a person: it has not begun, so a crash leaves nothing unclear."""
    write = row_of(following, StepState.WAITING, effect, now, arguments)
    return replace(write, checkpoint=following.resumed_from)


def record_of(action: Action, verdict: Verdict, attempt: int, at: datetime) -> AuditEntry:
    """What the audit record keeps of a step that is about to act."""
    return _entry("step.intent", action, verdict, attempt, at)


def refusal_of(action: Action, verdict: Verdict, attempt: int, at: datetime) -> AuditEntry:
    """What the audit record keeps of a step that the gate denied."""
    return _entry("step.refused", action, verdict, attempt, at, reason=verdict.reason)


def _entry(
    kind: str, action: Action, verdict: Verdict, attempt: int, at: datetime, **more: JsonValue
) -> AuditEntry:
    return AuditEntry(
        kind=kind,
        principal=action.principal,
        subject=f"{action.run_id}/{action.step_id}",
        detail={
            "task": action.task,
            "kind": action.kind,
            "effect": action.effect,
            "arguments": dict(action.arguments),
            "attempt": attempt,
            "rule": verdict.rule,
            **more,
            **_command(verdict),
        },
        at=at,
    )


def with_gate(detail: JsonObject, rule: str) -> JsonObject:
    """A step's details with the rule of the gate that decided on it."""
    return {**detail, "gate": rule} if rule else detail
