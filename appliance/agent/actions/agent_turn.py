"""``agent_turn``: ask a model what to do next. It changes nothing: what it wants becomes steps of their own."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    StepContext,
    StepResult,
    TargetAway,
)
from appliance.agent.conversations.following import following
from appliance.agent.domain import TurnOutput
from appliance.agent.errors import AnswerUnreadable
from appliance.agent.loop.asking import Ask, Heard, TooLong
from appliance.agent.loop.choosing import offered
from appliance.agent.loop.ending import ends_before_asking
from appliance.agent.loop.memory import Memory, memory_of
from appliance.agent.loop.outside import bounded
from appliance.agent.loop.reading import read
from appliance.agent.loop.shape import MORE
from appliance.agent.loop.sharing import Purse, nothing_left, story_in
from appliance.agent.loop.story import Story
from appliance.agent.loop.telling import Turn
from appliance.agent.loop.toolbox import toolbox
from appliance.inference.errors import (
    KeeperAway,
    ModelBusy,
    ModelRefused,
    ModelUnavailable,
    ModelUnknown,
)
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject

KEPT = 16_000
"""Characters that the record keeps of what was sent, and of what came back."""


class AgentTurnParams(Params):
    number: Annotated[int, Field(ge=1)]
    """Which turn, from 1."""


class AgentTurnAction(ActionKind[AgentTurnParams]):
    """Gives a ``TurnOutput``."""

    name = "agent_turn"
    params = AgentTurnParams
    for_authors = False
    default_timeout = 300.0

    def effect(self, params: AgentTurnParams) -> EffectClass:
        return EffectClass.PURE

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        above = [one for one in context.above if one != str(context.run_id)]
        memory = memory_of(context.kept)
        async with context.connect() as connection:
            story, purse = await story_in(connection, context.run_id, above, memory)
            told = await following(connection, story.asked, context.run_id)
            story = told.story(story)
            if told.asked is not None:
                await context.fence.hold(connection)
            await told.denied(connection, story, context.now)
            if context.attempt == 1:
                await told.began(connection, story)
        result = await _result(story, context, above, purse, memory)
        if told.asked is not None:
            async with context.connect() as connection:
                await context.fence.hold(connection)
                await told.ended(connection, len(story.past) + 1, result)
        return result


async def _result(
    story: Story, context: StepContext, above: Sequence[str], purse: Purse, memory: Memory
) -> StepResult:
    ended = ends_before_asking(story, unattended=context.unattended) or nothing_left(story, above)
    if ended:
        return StepResult.ok(TurnOutput(ended=ended, outside=story.outside).to_json())
    ask = _ask_of(story, context, memory)
    try:
        return await _asked(ask)
    except KeeperAway as error:
        raise TargetAway(error.message, hint=error.hint) from error
    except (ModelRefused, ModelUnknown, TooLong) as error:
        failed = StepResult.failed(str(error), retryable=False, tokens=ask.tokens)
    except (ModelBusy, ModelUnavailable) as error:
        failed = StepResult.failed(str(error), tokens=ask.tokens)
    finally:
        if above:
            async with context.connect() as connection:
                await context.fence.hold(connection)
                await purse.keep(connection, context.now, tokens=ask.tokens, seconds=ask.seconds)
    return replace(failed, tokens=ask.tokens)


def _ask_of(story: Story, context: StepContext, memory: Memory) -> Ask:
    last = story.over()
    names, more = ([], False) if last else offered(story)
    known = toolbox(story.asked)
    turn = Turn(
        story,
        {name: known[name].schema(story.asked.tools[name]) for name in names},
        secrets.token_hex(6),
        last,
        more,
        firm=len(memory.past),
        told=memory.told,
    )
    return Ask(turn, context)


async def _asked(ask: Ask) -> StepResult:
    turn, story, last = ask.turn, ask.turn.story, ask.turn.last
    known = {*turn.offered, *((MORE,) if turn.more else ())}
    heard = await ask.first()
    try:
        output = read(heard.value(), story, known, last=bool(last))
    except AnswerUnreadable as error:
        heard = await ask.again(error.message)
        try:
            output = read(heard.value(), story, known, last=bool(last))
        except AnswerUnreadable as second:
            output = TurnOutput(malformed=second.message, outside=story.outside)
    if last and not output.done:
        output = replace(output, ended=f"{last}, and it gave no answer")
    given = replace(output, tokens=ask.tokens).to_json()
    return replace(StepResult.ok(given, **_record(ask, heard)), tokens=ask.tokens)


def _record(ask: Ask, heard: Heard) -> JsonObject:
    """What the record keeps: which model, what it was told and what it said."""
    whole = "\n\n".join(f"[{role}]\n{text}" for role, text in ask.sent)
    return {
        **heard.model,
        "tokens": ask.tokens,
        "seconds": round(ask.seconds, 3),
        "asked": ask.times,
        "sent_digest": sha256_hex(whole.encode()),
        "sent": bounded(whole, KEPT),
        "came_digest": sha256_hex(heard.text.encode()),
        "came": bounded(heard.text, KEPT),
        "offered": [*ask.turn.offered],
    }
