"""``agent_answer``: what an agent comes to, read back from the rows of what it called."""

from appliance.actions.contract import ActionKind, EffectClass, Params, Status, StepContext, StepResult
from appliance.agent.conversations.before import asked_in
from appliance.agent.conversations.keeping import keep_answer
from appliance.agent.conversations.telling import Answer
from appliance.agent.domain import Asked
from appliance.agent.loop.ending import is_honest, not_confirmed, read_back
from appliance.agent.loop.rows import seen
from appliance.agent.loop.story import Story, story_of
from appliance.lib.jsontypes import JsonObject
from appliance.runs import own_rows
from appliance.runs.growing import ASKED


class AgentAnswerParams(Params):
    pass


class AgentAnswerAction(ActionKind[AgentAnswerParams]):
    """Its output is a text. What no row confirms stands behind it, in ``detail``, and as a warning of the run."""

    name = "agent_answer"
    params = AgentAnswerParams
    for_authors = False

    def effect(self, params: AgentAnswerParams) -> EffectClass:
        return EffectClass.PURE

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        async with context.connect() as connection:
            own = await own_rows.read(connection, context.run_id)
        given = own.inputs.get(ASKED)
        story = story_of(Asked.of(given if isinstance(given, dict) else {}), seen(own))
        result = _result(story)
        if story.asked.conversation and result.status is Status.SUCCEEDED:
            async with context.connect() as connection:
                await context.fence.hold(connection)
                asked = await asked_in(connection, context.run_id)
                if asked is not None:
                    said = Answer(
                        context.run_id, context.task_name, str(result.output), context.now, result.detail
                    )
                    await keep_answer(connection, asked, said)
        return result


def _result(story: Story) -> StepResult:
    output, found = story.past[-1].output, read_back(story)
    spent: JsonObject = {"turns": len(story.past), "steps": story.steps, "tokens": story.tokens}
    detail: JsonObject = {**spent, **found.to_json(), "mode": story.asked.mode.value}
    if output.ended and not output.done:
        return StepResult.failed(output.ended, retryable=False, **detail)
    doubts = found.doubts(output)
    if not doubts:
        return StepResult(Status.SUCCEEDED, output.answer, {**detail, "unconfirmed": False})
    said = f"{output.answer}{not_confirmed(doubts)}"
    return StepResult(Status.SUCCEEDED, said, {**detail, "unconfirmed": not is_honest(doubts)}, stderr=doubts)
