"""A whole box with the kernel's rules: what a command reaches, what becomes of the run, and a guard that is killed."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.sandbox.ebpf import cgroups, mounts
from tests.box import Box
from tests.kernel_rules import why_no_rules
from tests.wait import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_rules()), reason=f"no rules of the kernel here: {why_no_rules()}"),
]

TASKS = """
- name: sneaky
  actions:
    - type: shell
      args: [python3, -c, "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"]
      network: none
- name: open
  actions:
    - type: shell
      args: [python3, -c, "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"]
- name: lingering
  actions: [{type: shell, args: [sleep, "300"], network: none, timeout: 5m}]
"""


@pytest.fixture
def ruled(make_box: Callable[..., Box], tmp_path: Path) -> Iterator[Box]:
    box = make_box(
        MILLWRIGHT_CONTAINER_ENGINE=f"unix://{tmp_path}/no-engine.sock", MILLWRIGHT_HOLD_UNDECLARED="yes"
    )
    box.start()
    wait_for(
        lambda: all(part["healthy"] for part in parts(box).values()) and parts(box), 60, "the box is well"
    )
    (tmp_path / "tasks.yaml").write_text(TASKS)
    done = box.manage("tasks", "apply", str(tmp_path / "tasks.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    yield box
    box.stop()
    assert not cgroups.tree_of(mounts.cgroup2(), box.config.home.id).exists()


def parts(box: Box) -> dict[str, dict[str, Any]]:
    try:
        answer = httpx.get(f"{box.url}/readyz", timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}
    found: dict[str, dict[str, Any]] = answer["parts"]
    return found


def run(box: Box, task: str) -> dict[str, Any]:
    """Run it to its end; the kernel's record of its step."""
    done = box.manage("tasks", "run", task, "--wait", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    row = next(r for r in json.loads(box.manage("runs", "list", "--json").stdout) if r["task"] == task)
    shown = json.loads(box.manage("runs", "show", row["id"], "--json").stdout)
    observed: dict[str, Any] = shown["steps"][0]["observed"]
    return observed


def test_a_run_that_reaches_for_what_it_does_not_declare_is_amber_and_its_task_is_held(ruled: Box) -> None:
    assert parts(ruled)["rules"] == {"healthy": True, "message": "", "required": False}
    observed = run(ruled, "open")
    assert [one["address"] for one in observed["contacts"]] == ["127.0.0.1"]
    observed = run(ruled, "sneaky")
    assert [one["denied"] for one in observed["contacts"]] == [True]

    def held() -> bool:
        tasks = json.loads(ruled.manage("tasks", "list", "--json").stdout)
        enabled = {one["name"]: one["enabled"] for one in tasks}
        return bool(enabled["open"] and not enabled["sneaky"])

    wait_for(held, 20, "the task is held")


def test_a_guard_that_is_killed_comes_back_and_the_rules_of_what_runs_hold(ruled: Box) -> None:
    tree = cgroups.tree_of(mounts.cgroup2(), ruled.config.home.id)
    assert ruled.manage("tasks", "run", "lingering").returncode == 0

    def inside() -> list[str]:
        return [pid for one in cgroups.present(tree) for pid in (one / "cgroup.procs").read_text().split()]

    (job,) = wait_for(inside, 30, "the command runs")
    killed = ruled.pids()["guard"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: ruled.pids().get("guard") not in (None, killed), 30, "guard is back")
    wait_for(lambda: parts(ruled).get("rules", {}).get("healthy"), 30, "its rules are in force")
    assert inside() == [job]
    run(ruled, "open")
