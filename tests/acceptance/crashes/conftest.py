"""One box for the tests of a module, which can be told at any time where to die next."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.lib.crashpoints import VARIABLE
from appliance.processes.bench.box import Box
from tests.acceptance.box import HOOK_TOKEN, House
from tests.acceptance.crashes.tasks import Notebook, tasks_writing_to
from tests.wait import wait_for


@dataclass
class Plan:
    """Where the box's processes are to die: a file that they all read."""

    folder: Path
    made: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "plan"

    @contextmanager
    def death_at(self, point: str, count: int) -> Iterator[Path]:
        """Once within the block, at the ``count``-th time that a process comes there; gives the marker."""
        self.made += 1
        marker = self.folder / f"{self.made}-{point}"
        self._write(f"{point}:{count}:{marker}")
        try:
            yield marker
        finally:
            self._write("")

    def _write(self, line: str) -> None:
        new = self.folder / "plan.new"
        new.write_text(line)
        new.chmod(0o644)
        new.rename(self.file)


@pytest.fixture(scope="module")
def box() -> Box:
    """Not started yet."""
    made = Box()
    for name in ("plans", "effects"):
        folder = made.home.parent / name
        folder.mkdir()
        folder.chmod(0o777)
    return made


@pytest.fixture(scope="module")
def plan(box: Box) -> Plan:
    return Plan(box.home.parent / "plans")


@pytest.fixture(scope="module")
def notebook(box: Box) -> Notebook:
    return Notebook(box.home.parent / "effects")


@pytest.fixture(scope="module")
def house(box: Box, plan: Plan, notebook: Notebook) -> Iterator[House]:
    """At the end its audit must be whole."""
    box.environment[VARIABLE] = f"@{plan.file}"
    with box:
        made = House(box)
        made.put_secret("crash", HOOK_TOKEN)
        made.load(tasks_writing_to(notebook.folder), "crashes")
        wait_for(lambda: made.runs_of("clockwork"), 60, "the first tick")
        yield made
        box.manage("audit", "verify")
