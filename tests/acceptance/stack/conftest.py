"""Homes for boxes that are started for real, and ended whatever happens."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.lib.home import Home
from appliance.processes import leftovers
from tests.box import Box
from tests.kernel_rules import clear


@contextmanager
def boxes_that_end() -> Iterator[Callable[..., Box]]:
    """Gives ``make_box("name", MILLWRIGHT_…="…")``; the name is the home's folder."""
    # Not tmp_path: services that change user must pass through, and each start of pytest closes that one again.
    place = Path(tempfile.mkdtemp(prefix="mw-box-"))
    place.chmod(0o755)
    boxes: list[Box] = []

    def make(name: str = "home", **settings: str) -> Box:
        box = Box(place / name, place / f"{len(boxes)}.out", settings)
        boxes.append(box)
        return box

    try:
        yield make
    finally:
        for box in boxes:
            if box.process is not None and box.process.poll() is None:
                box.stop()
            if box.home.is_dir():
                home = Home.at(box.home)
                _end(home)
                shutil.rmtree(home.runtime, ignore_errors=True)
                clear(home.id)
        shutil.rmtree(place, ignore_errors=True)


def _end(home: Home) -> None:
    """A test that failed half way leaves nothing running."""
    for pid in leftovers.running(home):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def make_box() -> Iterator[Callable[..., Box]]:
    with boxes_that_end() as make:
        yield make


@pytest.fixture
def box(make_box: Callable[..., Box]) -> Box:
    return make_box()


@pytest.fixture(scope="module")
def running_box() -> Iterator[Box]:
    """A box with running engines, for tests that only look."""
    with boxes_that_end() as make:
        found = make()
        found.start("--engines-only")
        yield found
