"""One box for the faults that need nothing special, and the notebook of its commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.processes.bench.box import Box
from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import began, made
from tests.acceptance.crashes.tasks import Notebook


@pytest.fixture(scope="package")
def _box() -> Box:
    return made()


@pytest.fixture(scope="package")
def notebook(_box: Box) -> Notebook:
    return Notebook(_box.home.parent / "effects")


@pytest.fixture(scope="package")
def house(_box: Box) -> Iterator[House]:
    with began(_box) as house:
        yield house


@pytest.fixture
def logs(house: House, request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test failed, the ends of the box's logs say why."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print_logs(house.box.home)


def print_logs(home: Path) -> None:
    for log in sorted(home.glob("logs/*.log")):
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-2500:]}")
