"""What the box says of its disk, and of signs of life from the wrong time."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.lib.config import Config, read_config
from appliance.processes.part_checks import STALE, PartState, disk_state, signed_state

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return read_config({"MILLWRIGHT_HOME": str(tmp_path), "MILLWRIGHT_DISK_FREE": "100000000"})


def room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    blocks = os.statvfs_result((4096, 4096, GIB // 4096, GIB // 4096, free // 4096, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: blocks)


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (GIB // 2, PartState(True, "537 MB free of 1,074 MB", required=False)),
        (
            90_000_000,
            PartState(False, "low: 90 MB free of 1,074 MB, MILLWRIGHT_DISK_FREE is 100 MB", required=False),
        ),
        (20_000_000, PartState(False, "full: 20 MB free of 1,074 MB", required=True)),
        (0, PartState(False, "full: 0 MB free of 1,074 MB", required=True)),
    ],
)
def test_the_disk_is_low_before_it_is_full(
    config: Config, monkeypatch: pytest.MonkeyPatch, free: int, said: PartState
) -> None:
    room(monkeypatch, free)
    assert disk_state(config) == said


def test_a_disk_that_cannot_be_asked_is_no_reason_to_be_unready(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> os.statvfs_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "statvfs", broken)
    assert disk_state(config) == PartState(False, "not known: Input/output error", required=False)


@pytest.mark.parametrize(
    ("ago", "healthy"),
    [
        (timedelta(), True),
        (STALE, True),
        (STALE + timedelta(seconds=1), False),
        (timedelta(seconds=-1), True),
        (timedelta(hours=-1), False),
    ],
)
def test_a_sign_from_before_the_clock_was_set_back_proves_no_life(ago: timedelta, healthy: bool) -> None:
    assert signed_state(NOW - ago, True, "", NOW).healthy is healthy
