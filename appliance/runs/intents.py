"""What is put to the gate, and what is put on record before a step acts: pure."""

from datetime import datetime

from appliance.accounts.domain import Role
from appliance.actions.contract import EffectClass
from appliance.audit.services import AuditEntry
from appliance.lib.jsontypes import JsonObject
from appliance.runs.domain import StepState
from appliance.runs.plan import Next
from appliance.runs.rows import StepWrite
from appliance.runs.walk import Walk
from appliance.safety.gate import Action, Verdict


def _command(verdict: Verdict, *, short: bool = False) -> JsonObject:
    """What the gate understood of the step's command, if it has one."""
    if verdict.command is None:
        return {}
    return {"command": verdict.command.in_short() if short else verdict.command.as_json()}


def action_of(walk: Walk, following: Next, effect: EffectClass, arguments: JsonObject) -> Action:
    spec, row = following.spec, walk.row
    return Action(
        kind=spec.type,
        effect=effect.value,
        arguments=arguments,
        principal=row.principal,
        ceiling=(walk.definition.principal or Role.OPERATOR).value,
        run_id=row.id,
        step_id=spec.id,
        origin=row.origin,
        task=walk.definition.name,
    )


def intent_of(
    walk: Walk,
    following: Next,
    now: datetime,
    effect: EffectClass,
    arguments: JsonObject,
    verdict: Verdict,
) -> StepWrite:
    return StepWrite(
        step=following.spec.id,
        attempt=following.attempt,
        position=following.position,
        phase=following.phase,
        kind=following.spec.type,
        effect=effect,
        state=StepState.INTENT,
        started_at=now,
        input=arguments,
        detail=_command(verdict, short=True) or None,
        checkpoint=following.resumed_from,
    )


def record_of(walk: Walk, following: Next, now: datetime, action: Action, verdict: Verdict) -> AuditEntry:
    return AuditEntry(
        kind="step.intent",
        principal=action.principal,
        subject=f"{walk.row.id}/{following.spec.id}",
        detail={
            "task": action.task,
            "kind": action.kind,
            "effect": action.effect,
            "arguments": {**action.arguments},
            "attempt": following.attempt,
            "rule": verdict.rule,
            **_command(verdict),
        },
        at=now,
    )
