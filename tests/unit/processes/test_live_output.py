"""Live output is bounded, says what it holds, and keeps its order."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from appliance.lib.masking import KNOWN, MASK
from appliance.processes.kept_output import Chunk, kept_texts
from appliance.processes.live_output import HEAD, KEEP, TAIL, LiveOutput
from appliance.sandbox.process.capture import NO_MORE, SKIPPED
from tests.wait import wait_for_async


class Screens:
    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def broadcast(self, group: str, message: dict[str, Any]) -> None:
        assert group == f"run.{message['run']}"
        self.said.append(message)


class Kept:
    """A shelf that keeps what the product's would, and can be away."""

    def __init__(self, screens: Screens) -> None:
        self._screens = screens
        self.away = False
        self.over: list[str] = []
        self.head: list[Chunk] = []
        self.tail: list[Chunk] = []

    async def put(self, run: str, chunk: Chunk, *, first: bool, head: bool, tail: int) -> None:
        if self.away:
            raise TimeoutError
        if first:
            self.head, self.tail = [], []
        assert all(said["end"] < chunk.end or said["life"] != chunk.life for said in self._screens.said)
        (self.head if head else self.tail).append(chunk)
        if not head:
            del self.tail[:-tail]

    async def ended(self, run: str, step: str) -> None:
        self.over.append(step)

    @property
    def chunks(self) -> list[Chunk]:
        return self.head + self.tail


class Bench:
    def __init__(self) -> None:
        self.screens = Screens()
        self.kept = Kept(self.screens)
        self.live = LiveOutput(self.screens, self.kept)

    async def write(self, *pieces: bytes) -> None:
        """Each piece in a flush of its own."""
        for piece in pieces:
            wanted = len(self.screens.said) + 1
            self.live.emit("r", "s", "stdout", piece)
            await wait_for_async(partial(self._told, wanted), 5, "told")

    def _told(self, wanted: int) -> bool:
        return len(self.screens.said) >= wanted


async def test_positions_join_and_what_is_kept_is_what_was_said() -> None:
    bench = Bench()
    await bench.write(b"one\n", b"two\n", b"three\n")
    spans = [(m["after"], m["begin"], m["end"]) for m in bench.screens.said]
    assert spans == [(0, 0, 4), (4, 4, 8), (8, 8, 14)]
    assert kept_texts(bench.kept.chunks) == {"s": "one\ntwo\nthree\n"}


async def test_a_character_that_is_cut_in_two_comes_whole() -> None:
    bench = Bench()
    data = "温度".encode()
    await bench.write(data[:2], data[2:])
    assert "".join(m["text"] for m in bench.screens.said) == "温度"


async def test_head_and_tail_stay_and_the_middle_is_marked() -> None:
    bench = Bench()
    line = b"x" * 8191 + b"\n"
    await bench.write(b"first\n", *([line] * 14), b"last\n")
    kept = bench.kept.chunks
    assert kept[0].text == "first\n"
    assert kept[-1].text == "last\n"
    assert sum(chunk.end - chunk.begin for chunk in kept) <= HEAD + TAIL
    text = kept_texts(kept)["s"]
    assert text.count("…") == 1
    assert len(text) > TAIL


async def test_a_flood_is_cut_to_its_newest_and_says_so() -> None:
    bench = Bench()
    await bench.write(b"a" * (3 * KEEP))
    (message,) = bench.screens.said
    assert (message["after"], message["begin"], message["end"]) == (0, 2 * KEEP, 3 * KEEP)


async def test_a_step_that_is_performed_again_begins_anew() -> None:
    bench = Bench()
    await bench.write(b"one")
    bench.live.ended("r", "s")
    await wait_for_async(lambda: bench.kept.over == ["s"], 5)
    await bench.write(b"again")
    first, second = bench.screens.said
    assert first["life"] != second["life"]
    assert second["begin"] == 0
    assert kept_texts(bench.kept.chunks) == {"s": "again"}


async def test_without_a_shelf_the_screens_still_hear() -> None:
    bench = Bench()
    bench.kept.away = True
    await bench.write(b"one", b"two")
    assert [m["text"] for m in bench.screens.said] == ["one", "two"]


async def test_a_secret_that_comes_in_two_pieces_is_masked_as_a_whole() -> None:
    KNOWN.know(["sesame-42"])
    bench = Bench()
    await bench.write(b"the key is sesa")
    await bench.write(b"me-42, and that is all\n")
    bench.live.ended("r", "s")
    await wait_for_async(lambda: bench.kept.over == ["s"], 5, "the end is noted")
    texts = [message["text"] for message in bench.screens.said]
    assert "".join(texts) == f"the key is {MASK}, and that is all\n"
    ends = [(message["after"], message["end"]) for message in bench.screens.said]
    assert all(after == before for (_, before), (after, _) in pairwise(ends))


async def test_what_was_held_back_and_is_no_secret_comes_with_the_end() -> None:
    KNOWN.know(["sesame-42"])
    bench = Bench()
    await bench.write(b"they said sesa")
    bench.live.ended("r", "s")
    await wait_for_async(lambda: bench.kept.over == ["s"], 5, "the end is noted")
    assert [message["text"] for message in bench.screens.said] == ["they said ", "sesa"]


@pytest.fixture
def secret() -> Iterator[str]:
    KNOWN.learn("sesame-open-4711")
    yield "sesame-open-4711"
    KNOWN.forget()


async def test_no_half_of_a_secret_stands_where_a_flood_was_cut(secret: str) -> None:
    bench = Bench()
    await bench.write(b"." * KEEP + secret.encode() + b"." * (KEEP - 8))
    (message,) = bench.screens.said
    assert message["text"] == "*" * 8 + "." * (KEEP - 8)
    assert (message["begin"], message["end"]) == (KEEP + 8, 2 * KEEP + 8)


@pytest.mark.parametrize("note", [SKIPPED % 9, NO_MORE])
async def test_no_half_of_a_secret_stands_where_the_sandbox_left_something_out(
    secret: str, note: bytes
) -> None:
    bench = Bench()
    bench.live.emit("r", "s", "stdout", b"the key: sesame-")
    await bench.write(note + b"open-4711 and on.")
    said = "".join(message["text"] for message in bench.screens.said)
    assert said == f"the key: *******{note.decode()}********* and on."
