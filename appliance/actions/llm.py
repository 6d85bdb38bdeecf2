"""``llm``: ask a model of this box. It changes nothing in the world; its answer is a text, or fitting JSON."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, field_validator

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    StepContext,
    StepResult,
    TargetAway,
)
from appliance.actions.model_params import ModelParams
from appliance.expressions.fields import MessageField
from appliance.inference.answer_schema import check_schema
from appliance.inference.asking import Question, Reply
from appliance.inference.domain import Need, Work
from appliance.inference.errors import (
    KeeperAway,
    ModelAnswerBad,
    ModelBusy,
    ModelRefused,
    ModelUnavailable,
    ModelUnknown,
)
from appliance.inference.leases import Wish
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.located.fields import refuse
from appliance.lib.priority import Priority

_MOST_TRIES = 2


class Prompted(Params):
    prompt: MessageField
    """What is asked. ``{% if %}`` and ``{% for %}`` are allowed here."""


class LlmParams(ModelParams, Prompted):
    answer: dict[str, Any] | None = None
    """A JSON schema: the answer is JSON that fits it, and the step's output is that value."""
    max_tokens: Annotated[int, Field(ge=1, le=32768)] = 512
    """The longest answer."""

    @field_validator("answer")
    @classmethod
    def _a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                check_schema(value)
            except ModelRefused as error:
                raise refuse(error.message, error.hint or "") from error
        return value


class LlmAction(ActionKind[LlmParams]):
    name = "llm"
    params = LlmParams
    default_timeout = 300.0

    def effect(self, params: LlmParams) -> EffectClass:
        return EffectClass.PURE

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        question, wish, wasted = _question(arguments), _wish(arguments, context), 0
        for left in reversed(range(_MOST_TRIES)):
            try:
                reply = await context.services.ask(question, wish, _heard_by(context))
            except ModelAnswerBad as error:
                wasted += question.tokens
                if not left:
                    return _failed(error, wasted)
            except (ModelRefused, ModelUnknown) as error:
                return replace(_failed(error, wasted), retryable=False)
            except KeeperAway as error:
                raise TargetAway(error.message, hint=error.hint) from error
            except (ModelBusy, ModelUnavailable) as error:
                return _failed(error, wasted)
            else:
                spent = reply.prompt_tokens + reply.generated_tokens
                return replace(_result(question, reply), tokens=wasted + (spent or question.tokens))
        raise AssertionError("unreachable")


def _question(arguments: JsonObject) -> Question:
    messages = []
    if arguments.get("system"):
        messages.append(("system", str(arguments["system"])))
    messages.append(("user", str(arguments["prompt"])))
    schema = arguments.get("answer")
    return Question(
        tuple(messages),
        schema if isinstance(schema, dict) else None,
        int(str(arguments["max_tokens"])),
        float(str(arguments["temperature"])),
    )


def _wish(arguments: JsonObject, context: StepContext) -> Wish:
    urgent = [one for one in Priority if one.rank <= context.priority]
    return Wish(
        model=str(arguments.get("model") or ""),
        work=Work(str(arguments["work"])),
        needs=frozenset({Need.JSON}) if arguments.get("answer") else frozenset(),
        priority=max(urgent, key=lambda one: one.rank, default=Priority.LOW),
        deadline=min(max(context.timeout, 1.0), 3600.0),
        principal=context.principal,
    )


def _heard_by(context: StepContext) -> Callable[[str], None] | None:
    if context.on_output is None:
        return None
    on_output = context.on_output
    return lambda piece: on_output("stdout", piece.encode())


def _failed(error: MillwrightError, tokens: int) -> StepResult:
    return replace(StepResult.failed(str(error)), tokens=tokens)


def _result(question: Question, reply: Reply) -> StepResult:
    chosen = reply.chosen
    return StepResult.ok(
        reply.text if question.schema is None else reply.value,
        model=f"{chosen.model}@{chosen.version}",
        digest=chosen.digest,
        engine=chosen.engine.value,
        chosen_because=chosen.reason,
        rejected=[list(one) for one in chosen.rejected],
        prompt_tokens=reply.prompt_tokens,
        generated_tokens=reply.generated_tokens,
        seconds=round(reply.seconds, 3),
    )
