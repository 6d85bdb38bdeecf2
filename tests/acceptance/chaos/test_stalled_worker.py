"""Two workers, one stopped past its lease and woken: the other finishes its runs, and the woken one cannot write."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from appliance.lib.config import ROOT
from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import pid_of
from tests.acceptance.chaos.load import under_load
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

RUNS = 12
SLOW = """
- name: slow
  trigger: {{mqtt: {{topic: m/slow, payload: json}}}}
  actions:
    - {{id: one, type: shell, effect: unsafe, writes: [{folder}],
       args: [/bin/sh, -c, {script}, mw, "{{{{ run.id }}}}", one, {folder}/done]}}
    - {{id: rest, type: shell, effect: idempotent, args: [/bin/sleep, "4"]}}
    - {{id: two, type: shell, effect: unsafe, writes: [{folder}],
       args: [/bin/sh, -c, {script}, mw, "{{{{ run.id }}}}", two, {folder}/done]}}
"""
WORKS = "is connected"
FENCED = re.compile("lease lost|held by another worker")
SCRIPT = '\'echo "$1 $2 $$" >> "$3"\''

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logs")]


@contextmanager
def second_worker(house: House) -> Iterator[int]:
    """Another worker of the same box, with the first one's environment and user; gives its pid."""
    first = pid_of(house.box, "worker")
    pairs = Path(f"/proc/{first}/environ").read_bytes().split(b"\0")
    environment = dict(pair.decode().split("=", 1) for pair in pairs if pair)
    owner = Path(f"/proc/{first}").stat().st_uid
    user: dict[str, Any] = {"user": owner, "group": owner, "extra_groups": []} if os.geteuid() == 0 else {}
    command = [sys.executable, str(ROOT / "manage.py"), "worker", "--number", "1"]
    log = (house.box.home / "logs/worker-1.log").open("ab")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT, **user) as process:
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def begun(house: House) -> list[str]:
    """Who holds each slow run whose first step is on record."""
    rows = house.sql(
        "SELECT split_part(r.lease_owner, '/', 1) AS place FROM runs_run r "
        "JOIN tasks_task t ON t.id = r.task_id JOIN runs_step s ON s.run_id = r.id "
        "WHERE t.name = 'slow' AND r.state = 'running' AND s.step = 'one' AND s.state = 'succeeded'"
    )
    return [row["place"] for row in rows]


def steps(house: House, runs: list[UUID]) -> list[dict[str, Any]]:
    return house.sql(
        "SELECT s.run_id, s.step, s.attempt, s.state, s.epoch, s.output, s.finished_at, r.version "
        "FROM runs_step s JOIN runs_run r ON r.id = s.run_id WHERE r.id = ANY(%s) ORDER BY 1, 2, 3",
        runs,
    )


def ended(house: House, runs: list[UUID]) -> bool:
    rows = house.sql("SELECT state FROM runs_run WHERE id = ANY(%s)", runs)
    return all(row["state"] == "succeeded" for row in rows)


def test_what_a_stopped_worker_held_is_finished_once_by_the_other(house: House, notebook: Notebook) -> None:
    house.load(SLOW.format(folder=notebook.folder, script=SCRIPT), "slow")
    logs = {
        "worker-0": house.box.home / "logs/worker.log",
        "worker-1": house.box.home / "logs/worker-1.log",
    }
    with second_worker(house) as second, under_load(house, notebook) as load:
        pids = {"worker-0": pid_of(house.box, "worker"), "worker-1": second}
        wait_for(lambda: WORKS in logs["worker-1"].read_text(), 60, "the second worker works")
        for seq in range(RUNS):
            load.device.send(seq, "m/slow")
        places = wait_for(
            lambda: len(found := begun(house)) == RUNS and found, 60, "all runs are in their middle"
        )
        stalled = max(pids, key=places.count)
        os.kill(pids[stalled], signal.SIGSTOP)
        try:
            rows = house.runs_of("slow")
            taken = [row["id"] for row in rows if row["lease_owner"].startswith(f"{stalled}/")]
            assert taken
            wait_for(lambda: ended(house, taken), 60, "the other worker has finished the stopped one's runs")
            before = steps(house, taken)
        finally:
            os.kill(pids[stalled], signal.SIGCONT)
        wait_for(
            lambda: FENCED.search(logs[stalled].read_text()),
            30,
            "the woken worker finds that it is fenced off",
        )
    assert steps(house, taken) == before, "a woken worker wrote"
    doing = notebook.times()
    assert {doing[str(run), step] for run in taken for step in ("one", "two")} == {1}
    assert {row["epoch"] for row in house.runs_of("slow") if row["id"] in taken} == {2}, (
        "each was claimed twice"
    )
    print(f"{stalled} was stopped with {len(taken)} of {RUNS} runs")
