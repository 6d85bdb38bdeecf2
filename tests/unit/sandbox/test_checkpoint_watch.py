"""Which file is taken as whole, look by look: no clock runs here."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.process import wire
from appliance.sandbox.process.checkpoint import NAME, CheckpointWatch
from appliance.sandbox.process.request import Checkpoint

ASKED: dict[str, object] = {"initial": 0, "limit": 1000, "every": 5.0}


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[CheckpointWatch]:
    found = CheckpointWatch(os.open(tmp_path, os.O_RDONLY), Checkpoint(ASKED), 0.0)
    yield found
    found.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / NAME


def taken(frames: bytes) -> list[bytes]:
    """The checkpoints among these frames."""
    return [payload for kind, payload in _frames(frames) if kind == wire.CHECKPOINT]


def noted(frames: bytes) -> bool:
    return any(b"being written" in payload for kind, payload in _frames(frames) if kind == wire.NOTE)


def _frames(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    while rest:
        kind, size = wire.HEADER.unpack_from(rest)
        yield kind, rest[wire.HEADER.size : wire.HEADER.size + size]
        rest = rest[wire.HEADER.size + size :]


def test_two_looks_at_the_same_file_take_it(watch: CheckpointWatch, file: Path) -> None:
    file.write_text("whole")
    assert taken(watch.look(1)) == []
    assert taken(watch.look(2)) == [b"whole"]
    assert taken(watch.look(9)) == []


def test_one_look_just_before_the_end_is_not_two(watch: CheckpointWatch, file: Path) -> None:
    file.write_text("half")
    watch.look(1)
    assert taken(watch.ending(1.001)) == []
    assert taken(watch.last(by_itself=False)) == []


def test_what_a_job_wrote_last_that_died_of_its_time_limit_is_no_version(
    watch: CheckpointWatch, file: Path
) -> None:
    file.write_text("whole")
    watch.look(1)
    assert taken(watch.look(2)) == [b"whole"]
    file.write_text("whole, and half")
    watch.look(3)
    assert taken(watch.ending(3.5)) == []
    # It is dead now, so its file stands still: and nobody has been told yet.
    assert taken(watch.look(9) + watch.look(10) + watch.look(15)) == []
    found = watch.last(by_itself=False)
    assert taken(found) == []


def test_one_that_was_growing_to_the_end_is_said_to_be_lost(watch: CheckpointWatch, file: Path) -> None:
    for number in range(1, 5):
        file.write_text("half" * number)
        assert taken(watch.look(number)) == []
    watch.ending(4.5)
    found = watch.last(by_itself=False)
    assert (taken(found), noted(found)) == ([], True)


def test_what_stood_still_before_the_end_is_kept_though_it_was_not_due(
    watch: CheckpointWatch, file: Path
) -> None:
    file.write_text("first")
    watch.look(1)
    assert taken(watch.look(2)) == [b"first"]
    file.write_text("second")
    assert taken(watch.look(3) + watch.look(4)) == []
    assert taken(watch.ending(4.1)) == [b"second"]
    assert taken(watch.last(by_itself=False)) == []


def test_what_one_wrote_that_lived_on_counts_and_its_own_end_counts_more(
    watch: CheckpointWatch, file: Path
) -> None:
    watch.ending(1)
    file.write_text("late")
    assert taken(watch.look(2) + watch.look(3)) == []
    assert taken(watch.last(by_itself=False, outlived=True)) == [b"late"]
    file.write_text("later")
    assert taken(watch.last(by_itself=True)) == [b"later"]
