"""``approval``: ask people a question and go on with their answer."""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from psycopg import AsyncConnection
from pydantic import BeforeValidator, Field, field_validator

from appliance.accounts.domain import Role
from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    Status,
    StepContext,
    StepResult,
)
from appliance.audit.services import append_async
from appliance.expressions.fields import TemplateField, TextField
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.runs import sql
from appliance.runs.approving import close, open_for, whom
from appliance.safety.approvals.asking import Wish, rows_of
from appliance.safety.approvals.domain import (
    VOID,
    Asked,
    Purpose,
    State,
    Subject,
    Terms,
    denied,
    nobody_decided,
)
from appliance.safety.approvals.shown import LONGEST, within
from appliance.tasks.definition.base import Duration, refuse

LONGEST_PATIENCE = timedelta(days=30)


class Otherwise(StrEnum):
    """What becomes of the step without a yes."""

    FAIL = "fail"
    CONTINUE = "continue"


class OnTimeout(StrEnum):
    DENY = "deny"
    CONTINUE = "continue"


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ApprovalParams(Params):
    question: TextField
    """What people are asked."""
    show: Annotated[tuple[TemplateField, ...], Field(max_length=20)] = ()
    """What they need to know for it, a line each: `"mode: {{ state('plant/mode') }}"`."""
    approvers: Role = Role.OPERATOR
    """The role that may answer: `operator`, `engineer` or `admin`, and every role above it."""
    names: Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Field(max_length=20)] = ()
    """Only these people of that role."""
    expires: Duration = timedelta(minutes=30)
    """How long the question stays open."""
    on_timeout: OnTimeout = OnTimeout.DENY
    """When nobody answers: `deny` is the same as a no, `continue` goes on with `approved: false`."""
    on_deny: Otherwise = Otherwise.FAIL
    """After a no: `fail` ends the step, `continue` goes on with `approved: false`."""
    self_approval: bool = False
    """Whether who started the run may answer, too."""

    @field_validator("approvers")
    @classmethod
    def _somebody_who_acts(cls, value: Role) -> Role:
        if value is Role.VIEWER:
            raise refuse(say("viewers only look"), say("as in `approvers: operator`"))
        return value

    @field_validator("expires")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if value > LONGEST_PATIENCE:
            raise refuse(say("a question stays open for 30 days at most"))
        return value


class ApprovalAction(ActionKind[ApprovalParams]):
    """Changes nothing by itself. Its row is made once per attempt; what was asked stays what is answered."""

    name = "approval"
    params = ApprovalParams
    default_timeout = LONGEST_PATIENCE.total_seconds()

    def effect(self, params: ApprovalParams) -> EffectClass:
        return EffectClass.PURE

    async def policy(self, connection: AsyncConnection[Any]) -> str:
        """The policy that the answer is bound to; a question that its author asks is bound to none."""
        return ""

    def terms(self, terms: Terms, context: StepContext) -> Terms:
        """Who may answer; what its author wrote, as it is."""
        return terms

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        wish = _wish(arguments, context)
        wish = replace(wish, terms=self.terms(wish.terms, context))
        async with context.connect() as connection:
            await connection.execute(sql.LOCK_RUN, {"id": context.run_id})
            rows = await rows_of(connection, context.run_id, context.step_id, context.attempt)
            if not rows:
                bound = replace(wish.subject, policy=await self.policy(connection))
                wish = replace(wish, subject=bound)
                opened, refused = await open_for(connection, wish, context.now, unattended=context.unattended)
                if opened is None:
                    return StepResult.failed(refused, retryable=False)
                await append_async(connection, [opened.record])
                return _waiting(opened.expires_at, wish, str(opened.id))
            row = rows[-1]
            if row.state is State.OPEN and context.now < row.expires_at:
                return _waiting(row.expires_at, wish, str(row.id))
            if row.state is State.OPEN:
                because = nobody_decided(row)
                records = await close(connection, wish, row, State.EXPIRED, because, context.now)
                await append_async(connection, records)
                return _ended(row, because, go_on=_goes_on_unanswered(arguments))
        return _answer(row, arguments)


def _answer(row: Asked, arguments: JsonObject) -> StepResult:
    if row.state is State.APPROVED:
        return StepResult.ok(_output(row, True), approval=str(row.id))
    if row.state is State.DENIED:
        return _ended(row, denied(row), go_on=arguments["on_deny"] == Otherwise.CONTINUE)
    if row.state is State.EXPIRED:
        return _ended(row, nobody_decided(row), go_on=_goes_on_unanswered(arguments))
    return StepResult.failed(VOID, retryable=False, approval=str(row.id))


def _goes_on_unanswered(arguments: JsonObject) -> bool:
    return arguments["on_timeout"] == OnTimeout.CONTINUE or arguments["on_deny"] == Otherwise.CONTINUE


def _ended(row: Asked, because: str, *, go_on: bool) -> StepResult:
    if go_on:
        return StepResult.ok(_output(row, False), approval=str(row.id))
    return StepResult.failed(because, retryable=False, approval=str(row.id))


def _output(row: Asked, approved: bool) -> JsonObject:
    """``by`` is a name, empty where nobody answered; ``at`` is ISO 8601 in UTC."""
    return {
        "approved": approved,
        "by": row.decided_by.removeprefix("user:"),
        "reason": row.decision_reason or ("" if row.decided_at else nobody_decided(row)),
        "at": row.decided_at.isoformat() if row.decided_at else None,
    }


def _waiting(until: datetime, wish: Wish, approval: str) -> StepResult:
    return StepResult(
        Status.WAITING,
        detail={"approval": approval, "waits_for": whom(wish)},
        wake_at=until,
        waiting_for="approval",
        checkpoint={"approval": approval},
    )


def _wish(arguments: JsonObject, context: StepContext) -> Wish:
    names, show = arguments.get("names"), arguments.get("show")
    terms = Terms(
        approvers=Role(str(arguments["approvers"])),
        names=tuple(str(name) for name in names) if isinstance(names, list) else (),
        expires=timedelta(seconds=float(str(arguments["expires"]))),
        self_approval=bool(arguments["self_approval"]),
    )
    lines = [str(arguments["question"]), *(str(line) for line in (show if isinstance(show, list) else []))]
    return Wish(
        run_id=context.run_id,
        step=context.step_id,
        attempt=context.attempt,
        task=context.task_name,
        subject=Subject(ApprovalAction.name, EffectClass.PURE.value, arguments, 0),
        terms=terms,
        requested_by=context.principal,
        shown="\n".join(map(within, lines))[:LONGEST],
        purpose=Purpose.QUESTION,
    )
