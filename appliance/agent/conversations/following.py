"""What the steps of an agent's run know and tell of the conversation that it goes on with."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.actions.contract import Status, StepResult
from appliance.agent.conversations.before import Asked, asked_in, before
from appliance.agent.conversations.domain import NOTHING, Before
from appliance.agent.conversations.facts import in_words
from appliance.agent.conversations.keeping import keep_denials
from appliance.agent.domain import Asked as Wanted
from appliance.agent.domain import TurnOutput, call_id
from appliance.agent.loop.story import Story
from appliance.events import CallEnded, CallProposed, Event, TurnBegan, TurnEnded
from appliance.events.services import record_many_async

LONGEST = 500
"""Characters of what a model says that an event has."""


@dataclass(frozen=True, slots=True)
class Following:
    """``asked`` is None for a run that goes on with no conversation: then nothing is told."""

    asked: Asked | None = None
    before: Before = NOTHING

    def story(self, story: Story) -> Story:
        """With what was said before. Where it is nobody's answer, or somebody else's, its goal is no one's own word."""
        lost = story.asked.conversation and self.asked is None
        asked = replace(story.asked, outside=True) if lost else story.asked
        return replace(story, asked=asked, before=self.before)

    async def denied(self, connection: AsyncConnection[Any], story: Story, now: datetime) -> None:
        """A turn begins: what people said no to is kept, also where nothing comes of the run in the end.

        Not what the policy or a budget refused: that may be otherwise the next time, and is decided anew.
        """
        if self.asked is not None and story.past:
            said_no = [one.call for one in story.past[-1].results if one.by_person]
            calls = [in_words(call.tool, call.arguments) for call in said_no]
            await keep_denials(connection, self.asked, calls, now)

    async def began(self, connection: AsyncConnection[Any], story: Story) -> None:
        """A turn begins: what came of the calls of the one before it is known.

        They are steps like any other, which know nothing of conversations: so it is told now, and not as they end.
        """
        if self.asked is None:
            return
        number = len(story.past) + 1
        events: list[Event] = [
            CallEnded(
                **_where(self.asked),
                turn=number - 1,
                step=result.step,
                tool=result.call.tool,
                fate=result.fate.value,
            )
            for result in (story.past[-1].results if story.past else ())
        ]
        events.append(TurnBegan(**_where(self.asked), turn=number))
        await record_many_async(connection, events)

    async def ended(self, connection: AsyncConnection[Any], number: int, result: StepResult) -> None:
        """A turn has given something: what it wants called is proposed now. One that failed may be tried again."""
        if self.asked is None or result.status is not Status.SUCCEEDED:
            return
        output = TurnOutput.of(result.output)
        events: list[Event] = [
            CallProposed(
                **_where(self.asked),
                turn=number,
                step=call_id(number, place),
                tool=call.tool,
                why=call.why[:LONGEST],
            )
            for place, call in enumerate(output.calls, 1)
            if call.is_made
        ]
        done = output.done or bool(output.ended)
        events.append(TurnEnded(**_where(self.asked), turn=number, say=output.say[:LONGEST], done=done))
        await record_many_async(connection, events)


async def following(connection: AsyncConnection[Any], wanted: Wanted, run_id: UUID) -> Following:
    """``run_id``: the run whose steps are the agent's."""
    if not wanted.conversation:
        return Following()
    asked = await asked_in(connection, run_id)
    return Following(asked, await before(connection, asked))


def _where(asked: Asked) -> dict[str, Any]:
    return {
        "conversation_id": asked.conversation_id,
        "people": list(asked.people),
        "run_id": str(asked.root),
    }
