"""``agent_turn``: ask a model what to do next. It changes nothing: what it wants becomes steps of their own."""

import secrets
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
from appliance.agent.domain import Asked, TurnOutput
from appliance.agent.errors import AnswerUnreadable
from appliance.agent.loop.asking import Ask, Heard, TooLong
from appliance.agent.loop.choosing import offered
from appliance.agent.loop.ending import ends_before_asking
from appliance.agent.loop.outside import bounded
from appliance.agent.loop.reading import read
from appliance.agent.loop.rows import seen
from appliance.agent.loop.shape import MORE
from appliance.agent.loop.story import Story, story_of
from appliance.agent.loop.telling import Turn
from appliance.agent.tools.registry import tools
from appliance.inference.errors import (
    KeeperAway,
    ModelBusy,
    ModelRefused,
    ModelUnavailable,
    ModelUnknown,
)
from appliance.lib.digest import sha256_hex
from appliance.lib.jsontypes import JsonObject
from appliance.runs import own_rows
from appliance.runs.growing import ASKED

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
        async with context.connect() as connection:
            own = await own_rows.read(connection, context.run_id)
        given = own.inputs.get(ASKED)
        asked = Asked.of(given if isinstance(given, dict) else {})
        story = story_of(asked, seen(own))
        ended = ends_before_asking(story, unattended=context.unattended)
        if ended:
            return StepResult.ok(TurnOutput(ended=ended, outside=story.outside).to_json())
        ask = _ask_of(story, context)
        try:
            return await _asked(ask)
        except KeeperAway as error:
            raise TargetAway(error.message, hint=error.hint) from error
        except (ModelRefused, ModelUnknown, TooLong) as error:
            failed = StepResult.failed(str(error), retryable=False, tokens=ask.tokens)
        except (ModelBusy, ModelUnavailable) as error:
            failed = StepResult.failed(str(error), tokens=ask.tokens)
        return replace(failed, tokens=ask.tokens)


def _ask_of(story: Story, context: StepContext) -> Ask:
    last = story.over()
    names, more = ([], False) if last else offered(story)
    turn = Turn(
        story,
        {name: tools()[name].schema(story.asked.tools[name]) for name in names},
        secrets.token_hex(6),
        last,
        more,
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
    whole = "\n\n".join(f"[{role}]\n{text}" for role, text in ask.told)
    return {
        **heard.model,
        "tokens": ask.tokens,
        "seconds": round(ask.seconds, 3),
        "asked": ask.times,
        "sent_digest": sha256_hex(whole.encode()),
        "sent": bounded(whole, KEPT),
        "came": bounded(heard.text, KEPT),
        "offered": [*ask.turn.offered],
    }
