"""The engine's events, however the network cuts them."""

import random

import pytest

from appliance.inference.gateway.sse import LONGEST_EVENT, Relay, Unbroken, read
from tests.standins.model_engine import chat, event

WHOLE = b"".join((b": ping\n\n", *chat("Hel", "lo", '"usage": {"x": 1}', "漢字")))
WITHOUT_USE = WHOLE.replace(chat("a", "b", "c", "d")[-2], b"")


def passed(data: bytes, cuts: list[int], *, keep_usage: bool) -> tuple[bytes, Relay]:
    relay, found, start = Relay(keep_usage=keep_usage), b"", 0
    for end in [*sorted(cuts), len(data)]:
        found += relay.feed(data[start:end])
        start = end
    return found, relay


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
@pytest.mark.parametrize("keep_usage", [True, False])
def test_whatever_the_borders_the_same_goes_out(line: bytes, keep_usage: bool) -> None:
    data = WHOLE.replace(b"\n", line)
    expected = (WHOLE if keep_usage else WITHOUT_USE).replace(b"\n", line)
    draw = random.Random(7)
    for _ in range(400):
        cuts = draw.sample(range(len(data)), draw.randint(0, 30))
        found, relay = passed(data, cuts, keep_usage=keep_usage)
        assert found == expected
        assert relay.done
        assert relay.events == 5
        assert relay.usage == {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}


def test_one_byte_at_a_time() -> None:
    found, relay = passed(WHOLE, list(range(len(WHOLE))), keep_usage=True)
    assert found == WHOLE
    assert relay.done


def test_nothing_counts_after_the_end_or_an_error() -> None:
    late = event({"choices": [{"delta": {"content": "late"}}]})
    found, relay = passed(WHOLE + late, [], keep_usage=True)
    assert found == WHOLE
    found, relay = passed(event({"error": {"message": "no"}}) + late, [], keep_usage=True)
    assert found == b""
    assert relay.error == b'{"error": {"message": "no"}}'
    assert not relay.done


@pytest.mark.parametrize(
    "said",
    [
        b'data: {"error":{"message":"no"}}\n\n',
        b'data:{"error": "no"}\n\n',
        b'error: {"message":"no"}\n\n',
        b'event: error\ndata: {"message":"no"}\n\n',
        b'data: {"object":"error","message":"no"}\n\n',
    ],
)
def test_errors_are_known_in_each_of_their_forms(said: bytes) -> None:
    _, relay = passed(said, [], keep_usage=False)
    assert relay.error is not None
    assert b'"no"' in relay.error


def test_what_a_model_says_of_errors_is_no_error() -> None:
    said = event({"choices": [{"delta": {"content": 'data: {"error": 1}\n\n'}}]})
    found, relay = passed(said, [], keep_usage=False)
    assert found == said
    assert relay.error is None


def test_use_in_a_piece_that_holds_text_is_noted_and_passed_on() -> None:
    said = event({"choices": [{"delta": {"content": "a"}}], "usage": {"completion_tokens": 3}})
    found, relay = passed(said, [], keep_usage=False)
    assert found == said
    assert relay.usage == {"completion_tokens": 3}
    nothing = event({"choices": [{"delta": {"content": "a"}}], "usage": None})
    assert passed(nothing, [], keep_usage=False)[1].usage is None


def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        Relay(keep_usage=False).feed(b"data: " + b"x" * (LONGEST_EVENT + 1))


def test_an_event_over_several_lines_is_read_as_one() -> None:
    assert read(b'event: x\r\ndata: {"a":\r\ndata: 1}\r\n\r\n') == {"a": 1}
    assert read(b"data: [1]\n\n") is None
    assert read(b"data: {\n\n") is None


def test_vectors_pass_as_they_are() -> None:
    whole = Unbroken()
    assert whole.split(b'{"usage": {"prompt_tokens": 12, "total_tokens": 12}}')
    assert whole.usage == {"prompt_tokens": 12}
