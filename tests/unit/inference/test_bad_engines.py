"""Engines that cut, flood, lie or talk nonsense: who asked hears why, and the next one is served."""

import pytest

from appliance.actions.llm import LlmParams
from appliance.inference.asking import Asker, Question
from appliance.inference.domain import InstanceState
from appliance.inference.errors import ModelAnswerBad, ModelRefused, ModelUnavailable
from appliance.inference.leases import Wish
from appliance.inference.trying import ask
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from tests.engine_room import served
from tests.models_desk import ANN, Desk, desk
from tests.standins.model_engine import Says, chat, event

SCHEMA: JsonObject = {"type": "object", "properties": {"bad": {"type": "boolean"}}, "required": ["bad"]}
WISH = Wish(model="qwen", principal="user:ana")
TOO_LONG = b'{"error": {"message": "the request exceeds the available context size", "code": 400}}'
PIECE = "x" * 100_000
NONSENSE = b"data: {no json at all\n\n"
NOT_OURS = event({"choices": "none"})

CUT = Says(chat("half ")[:1], ends=False)
FLOOD = Says(chat(*[PIECE] * 12))
BROKEN = Says((*chat("half ")[:1], NONSENSE))
STRANGE = Says((NOT_OURS,))
LIES = Says((TOO_LONG,), status=400, kind="application/json")
AWAY = Says((b'{"error": "no executor"}',), status=503, kind="application/json")
NO_JSON = Says(chat("I think that it is bad."))
UNFIT = Says(chat('{"bad": "perhaps"}'))


async def question(d: Desk, schema: JsonObject | None = None) -> str:
    return (await Asker(d.keeper).ask(Question((("user", "hi"),), schema, 64), WISH)).text


async def trial(d: Desk) -> str:
    return "".join([piece.text async for piece in ask(d.keeper, "hi", ANN, model="qwen")])


@pytest.mark.parametrize(
    ("says", "schema", "error", "said"),
    [
        pytest.param(CUT, None, ModelUnavailable, "broke|cut", id="cut"),
        pytest.param(FLOOD, None, ModelAnswerBad, "longer than", id="flood"),
        pytest.param(BROKEN, None, ModelUnavailable, "nobody understands", id="broken chunk"),
        pytest.param(STRANGE, None, ModelUnavailable, "nobody understands|cut", id="strange chunk"),
        pytest.param(LIES, None, ModelRefused, "available context", id="lies about its context"),
        pytest.param(AWAY, None, ModelUnavailable, "no executor", id="says that it is away"),
        pytest.param(NO_JSON, SCHEMA, ModelAnswerBad, "no JSON", id="no JSON"),
        pytest.param(UNFIT, SCHEMA, ModelAnswerBad, "does not fit", id="unfit"),
    ],
)
async def test_a_step_hears_what_is_wrong_and_the_next_one_is_answered(
    says: Says, schema: JsonObject | None, error: type[MillwrightError], said: str
) -> None:
    async with desk(served("qwen", slots=1)) as d:
        d.engine.says = [says]
        with pytest.raises(error, match=said):
            await question(d, schema)
        assert await question(d) == "Hello"
        assert d.room.state("qwen") is InstanceState.READY


@pytest.mark.parametrize(
    ("says", "said"),
    [
        pytest.param(CUT, "broke off", id="cut"),
        pytest.param(FLOOD, "longer than", id="flood"),
        pytest.param(BROKEN, "nobody understands", id="broken chunk"),
        pytest.param(STRANGE, "nobody understands|broke off", id="strange chunk"),
        pytest.param(LIES, "available context", id="lies about its context"),
        pytest.param(AWAY, "no executor", id="says that it is away"),
    ],
)
async def test_who_tries_a_model_hears_the_same(says: Says, said: str) -> None:
    async with desk(served("qwen", slots=1)) as d:
        d.engine.says = [says]
        with pytest.raises(MillwrightError, match=said):
            await trial(d)
        assert await trial(d) == "Hello"


@pytest.mark.parametrize("says", [CUT, BROKEN, AWAY], ids=["cut", "broken", "away"])
async def test_one_that_only_fails_is_made_anew_and_another_answers(says: Says) -> None:
    """The first of the chain falls back to the second, without anybody's doing."""
    async with desk(served("qwen"), served("second")) as d:
        d.engine.says = [says] * 3
        for _ in range(3):
            with pytest.raises(MillwrightError):
                await question(d)
        await d.room.until("qwen", InstanceState.FAILED)
        reply = await Asker(d.keeper).ask(
            Question((("user", "hi"),)), Wish(principal="user:ana", deadline=5.0)
        )
        assert (reply.text, reply.chosen.model) == ("Hello", "second")
        assert "it failed before" in dict(reply.chosen.rejected)["qwen"]


async def test_a_prompt_that_is_too_long_is_refused_before_any_engine_is_asked() -> None:
    async with desk() as d:
        long = Question((("user", "x" * 20_000),))
        with pytest.raises(MillwrightError, match="the request has about"):
            await Asker(d.keeper).ask(long, WISH)
        assert not d.engine.asked


@pytest.mark.parametrize("most", [0, -1, 100_000])
def test_a_step_asks_for_a_sensible_number_of_tokens(most: int) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        LlmParams(prompt="hi", max_tokens=most)
