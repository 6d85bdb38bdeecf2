"""Services of a whole box come from the fork server, and need it only for their start."""

import os
import signal
from pathlib import Path

import pytest

from appliance.processes.forkserver import NAME
from appliance.processes.launch import parent_of
from tests.acceptance.stack.test_whole_box import ready
from tests.box import Box
from tests.wait import wait_for

FORKED = ("keeper", "worker", "reactor", "beat", "web")
LEAST_SHARED_KIB = 15_000
"""Of memory that is no file's: an interpreter that was started alone shares none."""


def shared_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Shared_Dirty:"))


def shown(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode()


def restarted(box: Box, name: str, number: signal.Signals = signal.SIGKILL) -> int:
    """The process of the part's next life."""
    pid = box.pids()[name]
    os.kill(pid, number)
    wait_for(lambda: box.pids().get(name, pid) != pid, 30, f"{name} is back")
    return box.pids()[name]


@pytest.mark.slow
def test_services_share_what_they_loaded_and_outlive_the_fork_server(box: Box) -> None:
    box.start()
    wait_for(lambda: ready(box), 30, "the box is ready")
    manager = int((box.config.home.runtime / "supervisord.pid").read_text())
    before = box.pids()
    for name in FORKED:
        assert shown(before[name]) == name
        assert parent_of(before[name]) == manager, name
        assert shared_kib(before[name]) > LEAST_SHARED_KIB, name
    loaded = box.config.home.runtime / "forkserver.loaded"
    loaded.unlink()
    restarted(box, NAME)
    after = box.pids()
    assert {name: after[name] for name in FORKED} == {name: before[name] for name in FORKED}
    # Until the next one has loaded, a service is started as any other program is.
    wait_for(loaded.exists, 60, "the next fork server has loaded")
    forked = restarted(box, "beat", signal.SIGTERM)
    wait_for(lambda: shared_kib(forked) > LEAST_SHARED_KIB, 10, "beat was forked")
    os.kill(box.pids()[NAME], signal.SIGSTOP)
    alone = restarted(box, "beat")
    wait_for(lambda: shown(alone) == "beat", 30, "beat was started without the fork server")
    wait_for(lambda: ready(box), 60, "the box is ready")
    assert box.stop() == 0
