"""What a program of the stack gives up before it starts: tried on real processes, never on ourselves."""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from appliance.processes import launch
from tests.wait import wait_for

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
SHOW = ["/bin/sh", "-c", "id -u; id -G; grep -E '^(Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs):' /proc/self/status"]


def shown(become: partial[None]) -> tuple[int, list[int], dict[str, int]]:
    """User, groups and status of a process that went through ``become``."""
    done = subprocess.run(SHOW, preexec_fn=become, capture_output=True, text=True, check=True)
    user, groups, *status = done.stdout.splitlines()
    found = dict(line.split(":\t") for line in status)
    return (
        int(user),
        [int(g) for g in groups.split()],
        {name: int(value, 16) for name, value in found.items()},
    )


@AS_ROOT
def test_another_user_has_no_capability_no_group_and_no_way_back() -> None:
    user, groups, status = shown(partial(launch.give_up, 61200))
    assert (user, groups) == (61200, [61200])
    assert status == {"CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1}


@AS_ROOT
def test_who_must_stay_root_has_no_power_of_root() -> None:
    user, _, status = shown(partial(launch.give_up, None))
    assert user == 0
    assert status == {"CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1}


@AS_ROOT
@pytest.mark.parametrize("uid", [None, 61200])
def test_only_the_named_capabilities_stay(uid: int | None) -> None:
    keep = (launch.CAP_SETUID, launch.CAP_NET_BIND_SERVICE)
    mask = sum(1 << capability for capability in keep)
    user, _, status = shown(partial(launch.give_up, uid, keep=keep))
    assert user == (uid or 0)
    assert (status["CapPrm"], status["CapEff"], status["CapBnd"]) == (mask, mask, mask)
    assert status["NoNewPrivs"] == 1


@AS_ROOT
@pytest.mark.parametrize("uid", [None, 61200])
def test_in_a_namespace_root_looks_like_nobody(uid: int | None) -> None:
    become = partial(launch.give_up, uid, namespace=True)
    try:
        user, _, status = shown(become)
    except subprocess.SubprocessError:
        pytest.skip("this machine refuses user namespaces")
    assert user == launch.NOBODY
    assert (status["CapPrm"], status["CapEff"], status["NoNewPrivs"]) == (0, 0, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        subprocess.run(["/usr/bin/touch", folder / "file"], preexec_fn=become, check=True)
        assert (folder / "file").stat().st_uid == (uid or 0)


def test_an_ordinary_user_gains_nothing_either() -> None:
    root = os.geteuid() == 0
    _, _, status = shown(partial(_as_ordinary_user, 61200) if root else partial(launch.give_up, None))
    assert (status["CapEff"], status["NoNewPrivs"]) == (0, 1)


def _as_ordinary_user(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    launch.give_up(None)


def test_a_pid_file_names_a_process_and_not_its_successor(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "30"]) as process:
        started = launch.start_time(process.pid)
        assert started.isdigit()
        process.kill()
    assert launch.start_time(process.pid) == ""
    launch.remember(tmp_path, "me", os.getpid())
    assert (tmp_path / "me").read_text() == f"{os.getpid()} {launch.start_time(os.getpid())}\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["me"]


def test_a_process_that_is_dead_but_not_reaped_counts_as_gone() -> None:
    process = subprocess.Popen(["/bin/true"])
    wait_for(lambda: launch.start_time(process.pid) == "", what="a zombie counts as gone")
    process.wait()


def test_a_program_dies_with_its_parent_and_sees_only_its_own_environment(tmp_path: Path) -> None:
    """A parent that is killed takes the program with it, whatever the program is."""
    output = tmp_path / "environment"
    parent = tmp_path / "parent.py"
    parent.write_text(
        f"""
import json, os, subprocess, sys, time
program = {{"command": ["/bin/sh", "-c", "env > {output}; exec sleep 60"], "environment": {{"ONLY": "this"}},
           "directory": "/", "pids": {str(tmp_path)!r}, "uid": None, "keep": [], "namespace": False,
           "death_signal": "KILL"}}
env = {{"MILLWRIGHT_PROGRAMS": json.dumps({{"napper": program}}), "PASSWORD": "hunter2"}}
subprocess.Popen([sys.executable, "-I", "-S", {launch.__file__!r}, "napper"], env=env)
time.sleep(60)
"""
    )
    process = subprocess.Popen([sys.executable, str(parent)])
    try:
        wait_for(lambda: output.exists() and "ONLY=" in output.read_text(), what="the program runs")
        pid, _, started = (tmp_path / "napper").read_text().strip().partition(" ")
        assert launch.start_time(int(pid)) == started
        assert "hunter2" not in output.read_text()
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: launch.start_time(int(pid)) != started, what="the program has died with its parent")
