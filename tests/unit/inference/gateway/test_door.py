"""Who is let in, and what is said to whoever is not."""

from datetime import timedelta

from appliance.accounts.domain import Ability, Role
from appliance.accounts.principal import Principal
from appliance.inference.domain import InstanceState
from appliance.inference.gateway.requests import LARGEST_BODY
from tests.engine_room import served
from tests.models_desk import MESSAGES, desk


async def test_without_a_good_token_nothing_is_said_but_that() -> None:
    async with desk() as d:
        for token in ("", "mw_nobody"):
            answer = await d.chat(token=token)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.error["code"] == "invalid_api_key"
            assert set(answer.error) == {"message", "type", "param", "code"}
        answer = await d.ask("/v1/nothing", token="")
        assert answer.status == 401
        assert not d.engine.asked


async def test_a_token_needs_the_right_to_use_models() -> None:
    async with desk() as d:
        d.tokens["mw_wide"] = Principal("token:vic/x", Role.VIEWER, scopes=frozenset({Ability.USE_MODELS}))
        for token in ("mw_eve", "mw_wide"):
            answer = await d.chat(token=token)
            assert (answer.status, answer.error["type"]) == (403, "permission_error")


async def test_a_token_is_looked_up_again_after_a_few_seconds_and_no_sooner() -> None:
    async with desk() as d:
        await d.chat()
        await d.chat()
        assert d.lookups == ["mw_ann"]
        del d.tokens["mw_ann"]
        d.clock.advance(timedelta(seconds=3))
        assert (await d.chat()).status == 401


async def test_a_look_up_that_failed_is_not_kept() -> None:
    async with desk() as d:
        answer = await d.chat(token="mw_new")
        assert answer.status == 401
        d.clock.advance(timedelta(seconds=3))
        d.tokens["mw_new"] = d.tokens["mw_ann"]
        assert (await d.chat(token="mw_new")).status == 200


async def test_the_models_are_listed_with_what_they_offer() -> None:
    async with desk(served("qwen"), served("second")) as d:
        listed = await d.ask("/v1/models", method="GET")
        one = await d.ask("/v1/models/qwen@1", method="GET")
        gone = await d.ask("/v1/models/gone", method="GET")
    assert [model["id"] for model in listed.json["data"]] == ["qwen", "second"]
    assert one.json["object"] == "model"
    assert one.json["context"] == 4096
    assert one.json["state"] == InstanceState.ABSENT.value
    assert one.json["offers"] == ["json", "tools"]
    assert (gone.status, gone.error["code"]) == (404, "model_not_found")


async def test_what_is_not_there_or_not_so_is_refused_in_openais_form() -> None:
    async with desk() as d:
        assert (await d.ask("/v1/audio/speech", {})).status == 404
        wrong = await d.ask("/v1/chat/completions", method="GET")
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        assert (await d.ask("/v1/chat/completions", b"{")).status == 400
        assert (await d.ask("/v1/chat/completions", b"[]")).status == 400
        unknown = await d.chat(model="gpt-9")
        assert (unknown.status, unknown.error["code"], unknown.error["param"]) == (
            404,
            "model_not_found",
            "model",
        )
        large = await d.ask("/v1/chat/completions", b" " * (LARGEST_BODY + 1))
        assert large.status == 413
        assert not d.engine.asked


async def test_a_model_that_cannot_do_it_is_not_asked() -> None:
    async with desk() as d:
        answer = await d.ask("/v1/embeddings", {"model": "qwen", "input": "hi"})
        auto = await d.ask("/v1/embeddings", {"model": "auto", "input": "hi"})
        long = await d.chat(messages=[{"role": "user", "content": "x" * 20000}])
    assert (answer.status, answer.error["message"]) == (400, "qwen cannot do embeddings")
    assert (auto.status, "retry-after" in auto.headers) == (503, True)
    assert (long.status, long.error["code"]) == (400, "context_length_exceeded")


async def test_deadline_and_priority_are_the_callers_within_bounds() -> None:
    async with desk(served("qwen", slots=1)) as d:
        for headers in (
            {"x_millwright_deadline": "soon"},
            {"x_millwright_deadline": "0"},
            {"x_millwright_deadline": "nan"},
            {"x_millwright_priority": "highest"},
        ):
            assert (await d.chat(**headers)).status == 400
        assert (await d.chat(x_millwright_priority="critical", x_millwright_deadline="2.5")).status == 200


async def test_the_days_share_ends_with_429_and_says_when_it_renews() -> None:
    async with desk() as d:
        d.book.limit = type(d.book.limit)(requests=2)
        assert [(await d.chat()).status for _ in range(4)] == [200, 200, 429, 429]
        answer = await d.chat()
        assert answer.error["code"] == "insufficient_quota"
        assert "2026-01-02 00:00 UTC" in answer.error["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert int(answer.headers["retry-after"]) == 86400
        assert d.book.refusals == [("token:ann/bot", "the 2 requests of today are used up", 1)]
        d.clock.advance(timedelta(days=1))
        assert (await d.chat()).status == 200


async def test_tokens_count_against_the_share_too() -> None:
    async with desk() as d:
        d.book.limit = type(d.book.limit)(tokens=10)
        assert [(await d.chat()).status for _ in range(3)] == [200, 200, 429]


async def test_a_limit_that_was_set_counts_after_seconds() -> None:
    async with desk() as d:
        assert (await d.chat()).status == 200
        d.book.limit = type(d.book.limit)(requests=1)
        d.clock.advance(timedelta(seconds=5))
        assert (await d.chat()).status == 429


async def test_nobody_hears_more_of_a_mistake_of_the_box_than_that_it_was_one() -> None:
    async with desk() as d:

        async def broken(*_: object) -> object:
            raise RuntimeError("a secret path")

        d.book.standing = broken  # type: ignore[assignment]
        answer = await d.ask("/v1/chat/completions", {"model": "qwen", "messages": MESSAGES})
    assert answer.status == 500
    assert b"secret" not in answer.body
