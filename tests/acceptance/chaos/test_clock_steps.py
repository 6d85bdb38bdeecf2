"""The clock of the whole box an hour forward and back, under load.

PostgreSQL, Redis, web, worker, reactor and beat live by a clock that the test sets (``clock.c``, preloaded); their
monotonic clock is the real one, as on a machine whose wall clock is set. NATS, which is linked statically, keeps the
machine's time. (libfaketime 0.9.10 makes ``time.sleep`` fail where it must leave the monotonic clock alone.)
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance.processes.bench.box import Box
from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import began, made
from tests.acceptance.chaos.conftest import print_logs
from tests.acceptance.chaos.load import Load, under_load
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

HOUR = 3600
SOURCE = Path(__file__).with_name("clock.c")
UP = Path(__file__).with_name("up_with_clock.py")
TASKS = """
- name: pause
  trigger: {mqtt: {topic: m/pause, payload: json}}
  actions:
    - {id: length, type: wait, duration: 8s}
    - {id: done, type: set, value: 1}
- name: working
  trigger: {mqtt: {topic: m/working, payload: json}}
  actions: [{id: work, type: shell, effect: unsafe, args: [/bin/sleep, "15"]}]
- name: again
  trigger: {mqtt: {topic: m/again, payload: json}}
  actions: [{id: fails, type: shell, effect: idempotent, args: [/bin/false], retry: {attempts: 2, delay: 12s}}]
"""
MIDDLES = {"pause": ("waiting",), "working": ("running",), "again": ("waiting",)}
ENDS = {"pause": "succeeded", "working": "succeeded", "again": "failed"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
]


class ClockedBox(Box):
    """Started by way of ``up_with_clock``."""

    def start(self) -> None:
        with (self.home.parent / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(UP)], env=self.environment, stdout=log, stderr=log
            )
        self.wait_ready(120)


class Clock:
    """How far the box's clock is from the machine's."""

    def __init__(self, folder: Path) -> None:
        self._file, self._library = folder / "clock", folder / "clock.so"
        self._file.write_bytes(bytes(8))
        self._file.chmod(0o644)
        compiled = ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(compiled, check=True)
        self._library.chmod(0o755)

    def set(self, seconds: int) -> None:
        with self._file.open("r+b", buffering=0) as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def settings(self) -> dict[str, str]:
        return {"MW_CLOCK": str(self._file), "MW_CLOCK_LIBRARY": str(self._library)}


@pytest.fixture
def box() -> Box:
    return made(kind=ClockedBox)


@pytest.fixture
def clock(box: Box) -> Clock:
    found = Clock(box.home.parent)
    box.environment |= found.settings()
    return found


@pytest.fixture
def house(box: Box, clock: Clock) -> Iterator[House]:
    with began(box, TASKS) as house:
        try:
            yield house
        finally:
            print_logs(box.home)


def offset(house: House) -> float:
    """Seconds that the database's clock is ahead of ours."""
    now = house.sql("SELECT extract(epoch FROM clock_timestamp())::float AS now")[0]["now"]
    return float(now) - time.time()


def step(house: House, clock: Clock, load: Load, seq: int, seconds: int) -> None:
    """Set the clock with one run of each kind in its middle; each must end as if nothing were, under its one lease."""
    for some in (("working", "again"), ("pause",)):
        for task in some:
            load.device.send(seq, f"m/{task}")
        for task in some:
            wait_for(partial(in_the_middle, house, task, seq), 30, f"the run of {task} is in its middle")
    clock.set(seconds)
    wait_for(lambda: abs(offset(house) - seconds) < 60, 20, "the database lives by the new time")
    wait_for(lambda: {task: state(house, task, seq) for task in ENDS} == ENDS, 75, "no wait is lost or hangs")
    claims = {run["epoch"] for run in house.runs_of("working")}
    assert claims == {1}, "a run was taken from a worker that lives"


def in_the_middle(house: House, task: str, seq: int) -> bool:
    return state(house, task, seq) in MIDDLES[task]


def state(house: House, task: str, seq: int) -> str:
    found = [run["state"] for run in house.runs_of(task) if run["inputs"]["payload"]["seq"] == seq]
    return str(found[0]) if len(found) == 1 else f"{len(found)} runs"


def occurrences(house: House) -> dict[str, int]:
    rows = house.sql(
        "SELECT o.state, count(*), count(DISTINCT o.due_at) AS times FROM tasks_occurrence o "
        "JOIN tasks_task t ON t.id = o.task_id WHERE t.name = 'clockwork' GROUP BY 1"
    )
    assert all(row["count"] == row["times"] for row in rows), "a due time has two occurrences"
    return {row["state"]: row["count"] for row in rows}


def test_an_hour_forward_and_back_loses_nothing_and_doubles_nothing(house: House, clock: Clock) -> None:
    notebook = Notebook(house.box.home.parent / "effects")
    with under_load(house, notebook) as load:
        step(house, clock, load, 1, HOUR)
        load.goes_on()
        wait_for(
            lambda: occurrences(house).get("missed", 0) > HOUR / 2 - 60, 40, "the missed times have rows"
        )
        step(house, clock, load, 2, 0)
        load.goes_on()
        house.wait_ready(60)
    print(occurrences(house))
