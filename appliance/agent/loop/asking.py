"""Asking the model of one turn: within the context that it really has, and once more where its answer was none."""

import asyncio
from dataclasses import dataclass

from appliance.actions.contract import StepContext
from appliance.agent.errors import AnswerUnreadable
from appliance.agent.loop.outside import said_by_a_model
from appliance.agent.loop.reading import parsed
from appliance.agent.loop.shape import shape
from appliance.agent.loop.telling import Messages, Turn, fitted
from appliance.inference.asking import Question, estimated
from appliance.inference.domain import Need, Work
from appliance.inference.errors import (
    ModelAnswerBad,
    ModelAnswerCut,
    ModelRefused,
    ModelUnavailable,
    takes_at_most,
)
from appliance.inference.leases import Wish
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.priority import Priority

WINDOW = 32_768
"""Tokens of question and answer before anything is known of the model's own context."""
LONGEST_QUOTE = 2_000
LEAST_TOKENS = 1_024
LAST_WORD = 30.0
"""Seconds that the turn which answers has, whatever is left."""


class TooLong(MillwrightError):
    """Even the shortest telling is more than the model takes."""

    code = "agent.too_long"


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back; ``given`` where it fitted the schema already."""

    text: str
    given: JsonValue
    model: JsonObject
    cut: str = ""
    """That it was cut at its greatest length, where it was: then it need not be read to know that it is none."""

    def value(self) -> JsonValue:
        """Raises AnswerUnreadable."""
        if self.cut:
            raise AnswerUnreadable(self.cut)
        return self.given if self.given is not None else parsed(self.text)


class Ask:
    """The questions of one turn. ``tokens`` and ``seconds`` are spent on all of them together."""

    def __init__(self, turn: Turn, context: StepContext) -> None:
        self.turn = turn
        self.told: Messages = ()
        self.tokens = 0
        self.seconds = 0.0
        self.times = 0
        self._context = context
        self._last: Heard | None = None
        self._sent: Messages = ()
        self._schema = shape(turn.offered, last=bool(turn.last), more=turn.more)

    async def first(self) -> Heard:
        """Raises TooLong, and what ``Services.ask`` raises but ModelAnswerBad."""
        self.told = fitted(self.turn, self._within(min(WINDOW, self._tokens_left())))
        try:
            return await self._ask()
        except (ModelRefused, ModelUnavailable) as error:
            size = takes_at_most(error)
            if size is None:
                raise
            self.told = fitted(self.turn, self._within(min(size, self._tokens_left())))
            if self._question().tokens > size:
                raise TooLong(
                    f"the model takes {size:,} tokens, and goal and tools alone need more",
                    hint="name fewer tools, ask for shorter answers (max_tokens), or take another model",
                ) from error
            return await self._ask()

    async def again(self, why: str) -> Heard:
        """Once more, with what was wrong. Raises what ``Services.ask`` raises but ModelAnswerBad."""
        quoted = said_by_a_model(self._last.text if self._last else "", LONGEST_QUOTE)
        wrong = f"That was not of the form that was asked for: {said_by_a_model(why, 300)}. Answer again, as JSON only."
        self.told = (*self.told, ("assistant", quoted or "(nothing)"), ("user", wrong))
        return await self._ask()

    @property
    def sent(self) -> Messages:
        """What the model was told, as it went out."""
        return self._sent

    def _tokens_left(self) -> int:
        story = self.turn.story
        return max(LEAST_TOKENS, story.asked.budget.tokens - story.tokens)

    def _seconds_left(self) -> float:
        story = self.turn.story
        return max(LAST_WORD, story.asked.budget.seconds - story.seconds)

    def _within(self, size: int) -> "_Within":
        return _Within(self, size)

    def _question(self) -> Question:
        asked = self.turn.story.asked
        return Question(self.told, self._schema, asked.max_tokens, asked.temperature)

    async def _ask(self) -> Heard:
        question = self._question()
        self._sent = question.messages
        self.times += 1
        on_output = self._context.on_output
        heard_by = (lambda piece: on_output("stdout", piece.encode())) if on_output else None
        try:
            async with asyncio.timeout(self._seconds_left()):
                reply = await self._context.services.ask(question, self._wish(), heard_by)
        except TimeoutError:
            self.tokens += question.tokens
            raise ModelUnavailable("the model gave no answer in the time that the agent has left") from None
        except ModelAnswerBad as error:
            self.tokens += question.tokens
            cut = f"{error.message}: say it shorter" if isinstance(error, ModelAnswerCut) else ""
            self._last = Heard(error.said, None, {"wrong": error.message}, cut)
            return self._last
        spent = reply.prompt_tokens + reply.generated_tokens
        self.tokens += spent or question.tokens
        self.seconds += reply.seconds
        chosen = reply.chosen
        model: JsonObject = {
            "model": f"{chosen.model}@{chosen.version}",
            "digest": chosen.digest,
            "engine": chosen.engine.value,
            "chosen_because": chosen.reason,
        }
        self._last = Heard(reply.text, reply.value, model)
        return self._last

    def _wish(self) -> Wish:
        asked, context = self.turn.story.asked, self._context
        urgent = [one for one in Priority if one.rank <= context.priority]
        return Wish(
            model=asked.model,
            work=Work(asked.work),
            needs=frozenset({Need.JSON}),
            priority=max(urgent, key=lambda one: one.rank, default=Priority.LOW),
            deadline=min(max(context.timeout, 1.0), 3600.0, self._seconds_left()),
            principal=context.principal,
        )


@dataclass(frozen=True, slots=True)
class _Within:
    ask: Ask
    size: int

    def __call__(self, told: Messages) -> bool:
        ask = self.ask
        return estimated(told, ask._schema, ask.turn.story.asked.max_tokens) <= self.size
