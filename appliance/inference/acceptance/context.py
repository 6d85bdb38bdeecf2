"""The context as it was declared: a prompt near it is taken and answered, one beyond it is refused, and nobody dies."""

from appliance.inference.acceptance.domain import Bound, Check, Result, Subject, Unit, is_text
from appliance.inference.acceptance.engine import Engine, EngineRefused, Said
from appliance.inference.backends.contract import Overlong
from appliance.lib.said import say

NAME = "context"
ANSWER = 8
_SENTENCE = "The line runs. "
_FEW, _MORE = 10, 30
"""Sentences by which is measured how many tokens one of them is: nobody here knows the model's tokens."""
_TOKENS_UNSAID = 4
_KEPT_FREE = 0.02
_BEYOND = 1.3
_COUNTED = 0.9
"""Of the tokens that were sent, so many have to be counted by the engine: else it has left some out."""


async def run(subject: Subject) -> Result:
    engine, context = subject.engine, subject.profile.context
    few, more = await _say(engine, _FEW), await _say(engine, _MORE)
    each, beside = _measured(few, more)
    target = context - ANSWER - max(16, int(context * _KEPT_FREE))
    wanted = max(1, int((target - beside) / each))
    try:
        near = await _say(engine, wanted)
    except EngineRefused as error:
        said = say(
            "a prompt of about %(sent)d tokens is refused: %(why)s", sent=target, why=error.message[:200]
        )
        return _result(0, target, said, failed=True)
    taken = near.prompt_tokens if near.prompt_tokens is not None else target
    if near.generated < 1 or near.finish not in ("stop", "length"):
        said = say("a prompt of about %(sent)d tokens gets no answer", sent=target)
        return _result(taken, target, said, failed=True)
    if taken < target * _COUNTED - each:
        said = say(
            "of a prompt of about %(sent)d tokens it has read %(taken)d, and says nothing of that",
            sent=target,
            taken=taken,
        )
        return _result(taken, target, said, failed=True)
    fault, told = await _beyond(engine, context, each)
    await _say(engine, 1)
    said = say("%(taken)d of %(context)d tokens are taken and answered", taken=taken, context=context)
    return _result(taken, target, f"{said}; {told}", failed=fault)


async def _say(engine: Engine, sentences: int) -> Said:
    return await engine.say([("user", _SENTENCE * sentences)], max_tokens=ANSWER)


def _measured(few: Said, more: Said) -> tuple[float, float]:
    """Tokens of one sentence, and of what the template puts beside them."""
    if few.prompt_tokens is None or more.prompt_tokens is None or more.prompt_tokens <= few.prompt_tokens:
        return float(_TOKENS_UNSAID), 0.0
    each = (more.prompt_tokens - few.prompt_tokens) / (_MORE - _FEW)
    return each, max(0.0, few.prompt_tokens - each * _FEW)


async def _beyond(engine: Engine, context: int, each: float) -> tuple[bool, str]:
    """What becomes of a prompt that is too long: whether that is a fault, and how it is said."""
    overlong = engine.dialect.overlong
    if overlong is Overlong.DEADLY:
        return False, say("a longer one is not sent: this engine has died of it")
    if overlong is Overlong.UNKNOWN:
        return False, say("a longer one is refused by the box itself")
    sent = int(context * _BEYOND)
    try:
        await _say(engine, int(sent / each) + 1)
    except EngineRefused as error:
        if 400 <= error.status < 500 and error.message.strip():
            return False, say("a longer one is refused: %(why)s", why=error.message[:200])
        return True, say("a longer one gets status %(status)d, which is no refusal", status=error.status)
    return True, say("one of about %(sent)d tokens is taken without a word", sent=sent)


def _result(taken: int, target: int, detail: str, *, failed: bool) -> Result:
    least = int(target * _COUNTED)
    return Result(NAME, taken, least, Bound.AT_LEAST, Unit.TOKENS, detail, failed=failed)


CHECK = Check(NAME, is_text, run)
