"""What is kept of an output, and what is shown live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sandbox.ports import Captured
from appliance.sandbox.process import wire
from appliance.sandbox.process.capture import HeadTail, LiveFeed


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 60))
def test_head_and_tail_are_the_ends_of_the_stream_and_the_count_is_exact(
    pieces: list[bytes], limit: int
) -> None:
    kept = HeadTail(limit)
    for piece in pieces:
        kept.add(piece)
    whole = b"".join(pieces)
    head, tail = bytes(kept.head), kept.tail
    assert kept.total == len(whole)
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + len(tail) == min(limit, len(whole))


def test_a_flood_is_not_held_in_memory() -> None:
    kept = HeadTail(1000)
    for _ in range(1000):
        kept.add(b"x" * 65536)
    assert len(kept.head) + len(kept._tail) <= 500 + 1000
    assert kept.total == 65_536_000


@pytest.mark.parametrize(
    ("captured", "text"),
    [
        (Captured(b"", b"", 0), ""),
        (Captured("a°".encode()[:2], "a°".encode()[2:], 3), "a°"),
        (Captured(b"ab", b"yz", 30), "ab\n[… 26 bytes dropped …]\nyz"),
        (Captured(b"\xff", b"", 1), "\ufffd"),
    ],
)
def test_text_says_what_is_missing(captured: Captured, text: str) -> None:
    assert captured.text == text


def frames(data: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    while data:
        kind, length = wire.HEADER.unpack_from(data)
        found.append((kind, data[wire.HEADER.size : wire.HEADER.size + length]))
        data = data[wire.HEADER.size + length :]
    return found


def test_live_output_goes_out_at_once_and_then_at_most_every_fiftieth_of_a_second() -> None:
    feed = LiveFeed()
    assert feed.due() is None
    feed.add(wire.OUTPUT, b"one")
    assert feed.due() == float("-inf")
    assert frames(feed.take(100.0)) == [(wire.OUTPUT, b"one")]
    assert feed.due() is None
    feed.add(wire.ERRORS, b"two")
    feed.add(wire.ERRORS, b"three")
    assert feed.due() == pytest.approx(100.05)
    assert frames(feed.take(100.05)) == [(wire.ERRORS, b"twothree")]


def test_live_output_shows_the_latest_and_says_what_it_left_out() -> None:
    feed = LiveFeed()
    feed.add(wire.OUTPUT, b"a" * 20_000 + b"end")
    ((_, shown),) = frames(feed.take(1.0))
    assert shown.endswith(b"end")
    assert b"[... 3619 bytes not shown live ...]" in shown


def test_live_output_ends_at_its_total() -> None:
    feed = LiveFeed()
    sent = b""
    for moment in range(200):
        feed.add(wire.OUTPUT, b"a" * 16_000)
        sent += feed.take(float(moment))
    assert 1 << 20 <= len(sent) < (1 << 20) + 20_000
    assert sent.endswith(b"[... no more is shown live ...]\n")
