"""``llm``: ask a model of this box. It changes nothing in the world; its answer is a text, or fitting JSON."""

from collections.abc import Callable
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
from appliance.expressions.fields import MessageField, TextField
from appliance.inference.answer_schema import check_schema
from appliance.inference.asking import Question, Reply
from appliance.inference.control_tokens import without_control_tokens
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
from appliance.lib.jsontypes import JsonObject
from appliance.lib.located.fields import refuse
from appliance.lib.priority import Priority

_MOST_TRIES = 2


class LlmParams(Params):
    prompt: MessageField
    """What is asked. ``{% if %}`` and ``{% for %}`` are allowed here."""
    system: MessageField | None = None
    """What the model is to be and to keep to."""
    model: TextField | None = None
    """One by name, as `qwen3-8b`; without it the selection matrix chooses by `work`."""
    work: Work = Work.CHAT
    """The kind of work: `chat`, `code`, `logs`, `classification`, `extraction` or `anomaly`."""
    answer: dict[str, Any] | None = None
    """A JSON schema: the answer is JSON that fits it, and the step's output is that value."""
    max_tokens: Annotated[int, Field(ge=1, le=32768)] = 512
    """The longest answer."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.2
    """0: the same answer each time, as far as the engine can."""

    @field_validator("answer")
    @classmethod
    def _a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                check_schema(value)
            except ModelRefused as error:
                raise refuse(error.message, error.hint or "") from error
        return value

    @field_validator("work")
    @classmethod
    def _text(cls, value: Work) -> Work:
        if value is Work.EMBEDDINGS:
            raise refuse("a step asks for text, not for vectors")
        return value


class LlmAction(ActionKind[LlmParams]):
    name = "llm"
    params = LlmParams
    default_timeout = 300.0

    def effect(self, params: LlmParams) -> EffectClass:
        return EffectClass.PURE

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        question, wish = _question(arguments), _wish(arguments, context)
        for left in reversed(range(_MOST_TRIES)):
            try:
                reply = await context.services.ask(question, wish, _heard_by(context))
            except ModelAnswerBad as error:
                if not left:
                    return StepResult.failed(str(error))
            except (ModelRefused, ModelUnknown) as error:
                return StepResult.failed(str(error), retryable=False)
            except KeeperAway as error:
                raise TargetAway(error.message, hint=error.hint) from error
            except (ModelBusy, ModelUnavailable) as error:
                return StepResult.failed(str(error))
            else:
                return _result(question, reply)
        raise AssertionError("unreachable")


def _question(arguments: JsonObject) -> Question:
    messages = []
    if arguments.get("system"):
        messages.append(("system", str(arguments["system"])))
    messages.append(("user", without_control_tokens(str(arguments["prompt"]))))
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
