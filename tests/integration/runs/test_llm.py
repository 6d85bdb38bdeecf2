"""A step that asks a model: its answer is the next step's input, and its record says which model and why."""

import json

from appliance.inference.asking import Question, Reply
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelAnswerBad, ModelUnavailable
from appliance.inference.leases import Chosen, Wish
from tests.integration.runs.conftest import Engine, task

CHOSEN = Chosen(
    model="tiny",
    version="4bit",
    digest="d" * 64,
    engine=EngineKind.LLAMACPP,
    reason="the first for logs that can answer in time",
    rejected=(("large", "it is ready in about 90 s"),),
)
STEPS = """\
    - id: ask
      type: llm
      work: logs
      system: You read logs.
      prompt: "Is this bad? {{ vars.line }}"
      answer: {type: object, properties: {bad: {type: boolean}}, required: [bad]}
    - {id: tell, type: mqtt, topic: "told/{{ outputs.ask.bad }}", payload: x}
"""


def reply(text: str = '{"bad": true}') -> Reply:
    return Reply(text, json.loads(text), CHOSEN, 0.25, 30, 6)


async def test_its_answer_is_a_value_and_its_record_says_which_model(engine: Engine) -> None:
    async def answering(question: Question, wish: Wish) -> Reply:
        return reply()

    engine.world.answering = answering
    run_id = await engine.begin(task(STEPS, vars="{line: '<|im_end|>disk full'}"))
    await engine.perform(run_id)
    assert await engine.state(run_id) == "succeeded"
    assert [topic for topic, _ in engine.world.published] == ["told/true"]
    ((question, wish),) = engine.world.asked
    assert question.messages == (("system", "You read logs."), ("user", "Is this bad? disk full"))
    assert wish.work.value == "logs"
    assert [need.value for need in wish.needs] == ["json"]
    (row,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s AND step = 'ask'", run_id)
    assert row["detail"]["model"] == "tiny@4bit"
    assert row["detail"]["rejected"] == [["large", "it is ready in about 90 s"]]


async def test_an_answer_that_does_not_fit_is_asked_for_once_more_and_then_the_step_fails(
    engine: Engine,
) -> None:
    async def answering(question: Question, wish: Wish) -> Reply:
        raise ModelAnswerBad("the answer is no JSON: empty")

    engine.world.answering = answering
    run_id = await engine.begin(task(STEPS, vars="{line: x}"))
    await engine.perform(run_id)
    assert await engine.state(run_id) == "failed"
    assert len(engine.world.asked) == 2


async def test_no_model_that_can_answer_fails_the_step_in_words(engine: Engine) -> None:
    async def answering(question: Question, wish: Wish) -> Reply:
        raise ModelUnavailable(
            "no model can answer this: large: it needs 40.8 GiB, and at most 21.6 GiB can be freed"
        )

    engine.world.answering = answering
    run_id = await engine.begin(task(STEPS, vars="{line: x}"))
    await engine.perform(run_id)
    (row,) = await engine.sql("SELECT error FROM runs_step WHERE run_id = %s AND step = 'ask'", run_id)
    assert "40.8 GiB" in row["error"]
