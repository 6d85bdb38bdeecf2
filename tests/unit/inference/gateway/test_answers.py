"""What clients get: whole answers, streams, and what becomes of them when an engine breaks."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from appliance.inference.backends.contract import Readiness, Sign
from appliance.inference.domain import InstanceState
from tests.engine_room import served
from tests.models_desk import ANN, MESSAGES, desk
from tests.standins.model_engine import EngineStandin, Says, chat, event
from tests.wait import wait_for_async

CUT = Says(chat("Hel", done=False, usage=False)[:1], ends=False)


async def test_a_whole_answer_is_put_together_and_says_which_model_gave_it() -> None:
    async with desk() as d:
        answer = await d.chat(user="somebody", store=True, metadata={"a": "b"})
    assert answer.status == 200
    assert answer.json["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert answer.json["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert answer.json["object"] == "chat.completion"
    assert answer.headers["x-millwright-model"] == "qwen@1"
    assert answer.headers["x-millwright-reason"] == "it was asked for by name"
    sent = d.engine.asked[0]
    assert sent["model"] == "qwen"
    assert not {"user", "store", "metadata"} & sent.keys()
    assert d.engine.headers[0]["authorization"] == "Bearer engine-key"
    [counts] = d.book.days.values()
    assert (counts.requests, counts.prompt_tokens, counts.generated_tokens) == (1, 7, 2)


async def test_a_stream_is_the_engines_own_and_holds_the_use_only_for_who_asked() -> None:
    async with desk() as d:
        plain = await d.chat(stream=True)
        counted = await d.chat(stream=True, stream_options={"include_usage": True})
    assert plain.headers["content-type"].startswith("text/event-stream")
    assert plain.body == b"".join((*chat("Hel", "lo")[:3], b"data: [DONE]\n\n"))
    assert counted.body == b"".join(chat("Hel", "lo"))
    assert all(sent["stream_options"] == {"include_usage": True} for sent in d.engine.asked)


async def test_connections_to_the_engine_are_used_again() -> None:
    async with desk() as d:
        for stream in (True, False, True):
            assert (await d.chat(stream=stream)).status == 200
    assert d.engine.connections == 1


async def test_an_engine_that_fails_before_the_first_byte_is_asked_once_more() -> None:
    async with desk() as d:
        d.engine.says = [Says(status=0)]
        answer = await d.chat()
        assert answer.status == 200
        assert len(d.engine.asked) == 2
        # The second is on a connection that was used before: it may have been hung up, and is tried on a new one.
        d.engine.says = [Says(status=503), Says(status=0), Says(status=0)]
        answer = await d.chat(stream=True)
    assert answer.status == 502
    assert answer.error["code"] == "model.engine_failed"


async def test_a_stream_that_was_cut_ends_with_an_error_and_is_not_begun_anew() -> None:
    async with desk() as d:
        d.engine.says = [CUT]
        answer = await d.chat(stream=True)
    assert answer.status == 200
    assert answer.events[0]["choices"][0]["delta"]["content"] == "Hel"
    assert "broke off" in answer.events[1]["error"]["message"]
    assert b"[DONE]" not in answer.body
    assert len(d.engine.asked) == 1


NOT_PARSED = "The model produced output that does not match the expected peg-native format"


@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_engines_own_parser_makes_nothing_of_is_the_answers_fault(stream: bool) -> None:
    told = event({"error": {"code": 500, "message": NOT_PARSED}})
    async with desk() as d:
        d.engine.says = [Says((*chat("no", done=False)[:1], told))]
        answer = await d.chat(stream=stream)
        error = answer.events[-1]["error"] if stream else answer.error
        assert (error["code"], answer.status) == ("model.answer_bad", 200 if stream else 502)
        assert "can make nothing of the answer" in error["message"]
        assert len(d.engine.asked) == 1
        assert d.room.state("qwen") is InstanceState.READY


async def test_one_that_says_so_before_the_first_byte_is_not_asked_once_more() -> None:
    body = json.dumps({"error": {"code": 500, "message": NOT_PARSED}}).encode()
    async with desk() as d:
        d.engine.says = [Says(status=500, kind="application/json", pieces=(body,))]
        answer = await d.chat()
        assert (answer.status, answer.error["code"]) == (502, "model.answer_bad")
        assert len(d.engine.asked) == 1


async def test_an_error_of_the_engine_itself_in_the_middle_stays_its_own() -> None:
    told = event({"error": {"code": 500, "message": "out of memory"}})
    async with desk() as d:
        d.engine.says = [Says((*chat("no", done=False)[:1], told))]
        answer = await d.chat(stream=True)
    assert answer.events[-1]["error"]["code"] == "model.engine_failed"


async def test_an_end_without_done_is_a_failure_also_for_a_whole_answer() -> None:
    async with desk() as d:
        d.engine.says = [Says(chat("Hel", done=False))]
        answer = await d.chat()
    assert answer.status == 502
    assert d.room.keeper.roster.instances["qwen"].standing.strikes == 1


@pytest.mark.parametrize(
    "said",
    [{"error": {"message": "out of paper"}}, {"object": "error", "message": "out of paper", "code": 500}],
)
async def test_an_error_in_the_middle_of_a_stream_is_told_in_openais_form(said: object) -> None:
    async with desk() as d:
        d.engine.says = [Says((chat("Hel")[0], event(said)))]
        answer = await d.chat(stream=True)
    assert set(answer.events[-1]["error"]) == {"message", "type", "param", "code"}
    assert "out of paper" in answer.events[-1]["error"]["message"]


async def test_what_the_engine_refuses_is_the_requests_fault_and_not_tried_again() -> None:
    async with desk() as d:
        d.engine.says = [Says((b'{"error": {"message": "bad schema"}}',), status=400)]
        answer = await d.chat(stream=True)
    assert (answer.status, answer.error["message"]) == (400, "bad schema")
    assert len(d.engine.asked) == 1
    assert d.room.keeper.roster.instances["qwen"].standing.strikes == 0


async def test_requests_that_an_engine_answers_with_500_do_not_unload_the_model() -> None:
    async with desk() as d:
        d.engine.usual = Says((b'{"error": {"message": "template"}}',), status=500)
        for _ in range(5):
            assert (await d.chat()).status == 502
    assert d.room.engines.of("qwen").stops == 0


async def test_a_client_that_hangs_up_ends_the_engines_work_and_the_lease() -> None:
    async with desk() as d:
        d.engine.says = [Says(chat("Hel", done=False)[:1], hangs=True)]
        answer = d.begin("/v1/chat/completions", {"model": "qwen", "messages": MESSAGES, "stream": True})
        await wait_for_async(lambda: b"Hel" in answer.body)
        instance = d.room.keeper.roster.instances["qwen"]
        assert len(instance.held) == 1
        answer.hang_up()
        await wait_for_async(lambda: d.engine.left == 1)
        await wait_for_async(lambda: not instance.held)
        assert answer.task is not None
        await answer.task
        assert instance.standing.strikes == 0
        await d.meter.write()
        [counts] = d.book.days.values()
    assert counts.generated_tokens == 1


async def test_who_waits_for_a_whole_answer_and_hangs_up_is_not_served_on() -> None:
    async with desk() as d:
        d.engine.says = [Says(chat("Hel", done=False)[:1], hangs=True)]
        answer = d.begin("/v1/chat/completions", {"model": "qwen", "messages": MESSAGES})
        await wait_for_async(lambda: len(d.engine.asked) == 1)
        answer.hang_up()
        await wait_for_async(lambda: d.engine.left == 1)
        assert answer.task is not None
        await answer.task
    assert not answer.status


async def test_a_token_that_is_revoked_ends_its_stream() -> None:
    async with desk() as d:
        d.engine.says = [Says(chat("Hel", done=False)[:1], hangs=True)]
        answer = d.begin("/v1/chat/completions", {"model": "qwen", "messages": MESSAGES, "stream": True})
        await wait_for_async(lambda: b"Hel" in answer.body)
        del d.tokens["mw_ann"]
        d.clock.advance(timedelta(seconds=4))
        await wait_for_async(lambda: answer.over)
        await wait_for_async(lambda: d.engine.left == 1)
    assert answer.events[-1]["error"]["code"] == "invalid_api_key"


async def test_the_keeper_hears_that_tokens_come_and_that_none_come() -> None:
    async with desk() as d:
        d.engine.says = [Says((*chat("a", done=False)[:1], *chat("b", done=False)[:1]), hangs=True)]
        answer = d.begin("/v1/chat/completions", {"model": "qwen", "messages": MESSAGES})
        instance = d.room.keeper.roster.instances["qwen"]
        await wait_for_async(lambda: any(held.tokens == 2 for held in instance.held.values()))
        d.room.advance(121)
        await wait_for_async(lambda: d.room.engines.of("qwen").stops == 1)
        answer.hang_up()
        assert answer.task is not None
        await answer.task


async def test_while_a_model_loads_a_stream_says_so_and_goes_on_when_it_is_there() -> None:
    async with desk() as d:
        loading = d.room.engines.of("qwen")
        loading.readiness = Readiness(Sign.LOADING, "1")
        answer = d.begin("/v1/chat/completions", {"model": "qwen", "messages": MESSAGES, "stream": True})
        await wait_for_async(lambda: b": loading" in answer.body)
        loading.readiness = Readiness(Sign.READY)
        d.room.keeper.look()
        await wait_for_async(lambda: answer.over)
    assert answer.events[0]["choices"][0]["delta"]["content"] == "Hel"
    assert b": qwen@1" in answer.body


async def test_the_matrix_chooses_where_no_model_is_named() -> None:
    async with desk(served("first", slots=2), served("second", slots=2)) as d:
        answer = await d.chat(model="auto/logs")
        unknown = await d.chat(model="auto/poetry")
    assert answer.headers["x-millwright-model"] == "first@1"
    assert "first choice for logs" in answer.headers["x-millwright-reason"]
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")


async def test_many_streams_at_once_are_all_served_for_one_look_at_the_token() -> None:
    async with desk(served("qwen", slots=30)) as d:
        answers = await asyncio.gather(*(d.chat(stream=True) for _ in range(30)))
    assert {answer.status for answer in answers} == {200}
    assert sum(counts.requests for counts in d.book.days.values()) == 30
    assert len(d.lookups) == 1
    assert {name for name, _ in d.book.days} == {ANN.name}


async def test_of_a_hundred_streams_only_those_of_the_engine_that_dies_break() -> None:
    words = [f"w{number} " for number in range(12)]
    says = Says(chat(*words), pause=0.05)
    models = [
        replace(one, profile=replace(one.profile, context=256))
        for one in (served("steady", slots=50), served("doomed", slots=50))
    ]
    async with EngineStandin(usual=says).serving() as doomed, desk(*models, beat=1.0) as d:
        d.engine.usual = says
        d.elsewhere["doomed"] = doomed.url
        whole, broken = (
            [
                d.begin("/v1/chat/completions", {"model": model, "messages": MESSAGES, "stream": True})
                for _ in range(50)
            ]
            for model in ("steady", "doomed")
        )
        await wait_for_async(lambda: all(b"w3 " in answer.body for answer in broken))
        doomed.die()
        await wait_for_async(lambda: all(answer.over for answer in whole + broken), 20)
    for answer in whole:
        assert [one["choices"][0]["delta"].get("content") for one in answer.events[:-1]] == words
        assert answer.body.endswith(b"data: [DONE]\n\n")
    for answer in broken:
        assert "broke off" in answer.events[-1]["error"]["message"]
        assert b"[DONE]" not in answer.body
