"""Loaded before everything else (``-p tests.boot``): a home of the tests' own, and the sample of the slow suites."""

import atexit
import os
import random
import shutil
import sys
import tempfile
from datetime import UTC, datetime

import pytest

FOLDER = tempfile.mkdtemp(prefix="mw-test-")
os.environ["MILLWRIGHT_HOME"] = f"{FOLDER}/home"
for _name in ("DATABASE_URL", "REDIS_URL", "MQTT_URL", "MILLWRIGHT_LISTEN", "MILLWRIGHT_MQTT_LISTEN"):
    os.environ.pop(_name, None)
# Where Python may keep no bytecode, each process of each box would compile the product again: a third of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["MILLWRIGHT_MODELS"] = "refused"  # no test asks a real model, or one elsewhere, by accident
os.chmod(FOLDER, 0o755)  # noqa: PTH101 - services that change user pass through it

LANES = ("acceptance", "browser", "contract", "integration", "unit")
"""The files that take longest come first: what runs side by side then ends together."""
sampling = False
"""Whether this is a run with ``--slow-sample``."""


def _remove(pid: int = os.getpid()) -> None:
    if os.getpid() == pid:
        shutil.rmtree(FOLDER, ignore_errors=True)


atexit.register(_remove)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow-sample", type=int, default=None, help="run only this many of the slow tests")
    parser.addoption("--sample-seed", default=f"{datetime.now(UTC):%Y%m%d}", help="which ones")


def pytest_configure(config: pytest.Config) -> None:
    global sampling
    sampling = config.getoption("--slow-sample") is not None


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--slow-sample") is None:
        return None
    size, seed = config.getoption("--slow-sample"), config.getoption("--sample-seed")
    return f"slow tests: a sample of {size}, --sample-seed={seed}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out(config, items)
    items.sort(key=lambda item: next((n for n, lane in enumerate(LANES) if lane in item.path.parts), 0))


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a sample of the slow tests, the same for the same seed; none of those with ``slow(sample=False)``."""
    size = config.getoption("--slow-sample")
    if size is None:
        return
    slow = sorted((item for item in items if item.get_closest_marker("slow")), key=lambda item: item.nodeid)
    drawn = [item for item in slow if _may_be_drawn(item)]
    random.Random(config.getoption("--sample-seed")).shuffle(drawn)
    chosen = set(_of_few_files(drawn, size))
    left_out = [item for item in slow if item not in chosen]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _of_few_files(drawn: list[pytest.Item], size: int) -> list[pytest.Item]:
    """The first so many, of half as many files if those have enough: what costs most is a box for each file."""
    files = list(dict.fromkeys(item.path for item in drawn))
    near = [item for item in drawn if item.path in files[: (size + 1) // 2]]
    return [*near, *(item for item in drawn if item.path not in files[: (size + 1) // 2])][:size]


def _may_be_drawn(item: pytest.Item) -> bool:
    """Whether ``make test`` may afford it."""
    marker = item.get_closest_marker("slow")
    return marker is None or bool(marker.kwargs.get("sample", True))
