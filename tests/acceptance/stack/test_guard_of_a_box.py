"""A whole box with a container engine: who holds what, a step in a container, and violent ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import httpx
import pytest

from appliance.processes import launch
from appliance.processes.programs import SERVICES
from tests.acceptance.stack.conftest import boxes_that_end
from tests.box import Box
from tests.container_engine import PrivateEngine
from tests.kernel_rules import why_no_rules
from tests.wait import wait_for

TASKS = """
- name: contained
  principal: engineer
  actions: [{type: container, image: tools, command: "id -u; cat /proc/self/status | grep CapEff"}]
- name: long
  principal: engineer
  actions: [{type: container, image: tools, args: [sleep, "100"], timeout: 3m}]
"""
CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SYS_PTRACE = 0, 1, 3, 5, 6, 7, 19


@contextmanager
def box_with(engine: PrivateEngine, folder: Path) -> Iterator[Box]:
    """A box that has the tasks; at its end nothing of them is left on the engine."""
    with boxes_that_end() as make_box:
        box = make_box(MILLWRIGHT_CONTAINER_ENGINE=engine.url)
        box.start()
        wait_for(lambda: parts(box).get("worker", {}).get("healthy"), 60, "the box is ready")
        (folder / "tasks.yaml").write_text(TASKS)
        for words in (
            ("images", "pin", "tools", engine.image),
            ("tasks", "apply", str(folder / "tasks.yaml")),
        ):
            done = box.manage(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        yield box
        box.stop()
        assert containers(box, engine) == []


@pytest.fixture(scope="module")
def guarded(container_engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """For the tests that kill nothing."""
    with box_with(container_engine, tmp_path_factory.mktemp("tasks")) as box:
        yield box


def parts(box: Box) -> dict[str, dict[str, object]]:
    try:
        found: dict[str, dict[str, object]] = httpx.get(
            f"{box.url}/readyz", timeout=5, trust_env=False
        ).json()["parts"]
    except (httpx.HTTPError, ValueError):
        return {}
    return found


def containers(box: Box, engine: PrivateEngine) -> list[dict[str, object]]:
    with engine.client() as client:
        return list(client.containers(all=True, filters={"label": f"millwright.home={box.config.home.id}"}))


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def capabilities(status: dict[str, str]) -> set[int]:
    """All that a process has, could have, or hands on."""
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    mask = 0
    for name in sets:
        mask |= int(status[name], 16)
    return {number for number in range(64) if mask >> number & 1}


def running(box: Box, engine: PrivateEngine) -> list[str]:
    """The command lines of this home's containers that have a job."""
    found = []
    with engine.client() as client:
        for row in containers(box, engine):
            found += [process[-1] for process in processes(client, row["Id"]) if "sleep 100" in process[-1]]
    return found


def processes(client: docker.APIClient, container: object, options: str | None = None) -> list[list[str]]:
    """None where it has ended meanwhile, and is not removed yet."""
    try:
        return client.top(container, options)["Processes"] or []
    except docker.errors.APIError:
        return []


def test_only_guard_has_the_engine_and_a_step_runs_in_a_container(
    guarded: Box, container_engine: PrivateEngine
) -> None:
    box = guarded
    assert parts(box)["guard"] == {"healthy": True, "message": "", "required": False}
    done = box.manage("tasks", "run", "contained", "--wait", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = box.manage("runs", "list", "--json").stdout
    # Another task has its minute now and then.
    run = next(one["id"] for one in json.loads(shown) if one["task"] == "contained")
    steps = box.manage("runs", "show", run, "--json").stdout
    assert str(box.config.home.sandbox_uid) in steps
    assert "0000000000000000" in steps
    pids = box.pids()
    assert {"guard", *SERVICES} <= set(pids)
    guard = status_of(pids.pop("guard"))
    wanted = {CHOWN, DAC_OVERRIDE, SYS_PTRACE}
    if not why_no_rules():
        wanted |= {launch.CAP_NET_ADMIN, launch.CAP_PERFMON, launch.CAP_BPF}
    assert capabilities(guard) == wanted
    assert guard["NoNewPrivs"] == "1"
    engine = Path(container_engine.url.removeprefix("unix://"))
    found = engine.stat()
    assert found.st_mode & 0o007 == 0
    # Started by root, the spawner keeps what it takes to make jobs somebody else's.
    spawner = status_of(pids.pop("spawner"))
    assert capabilities(spawner) <= {CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID}
    assert spawner["NoNewPrivs"] == "1"
    for name, pid in pids.items():
        status = status_of(pid)
        assert capabilities(status) == set(), name
        assert status["NoNewPrivs"] == "1", name
        assert str(found.st_uid) not in status["Uid"].split(), name
        assert str(found.st_gid) not in (*status["Gid"].split(), *status["Groups"].split()), name
    code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    uid = box.config.home.service_uid
    tried = subprocess.run(
        [sys.executable, "-c", code, str(engine)], user=uid, group=uid, extra_groups=[], capture_output=True
    )
    assert b"PermissionError" in tried.stderr


def test_a_container_of_a_living_box_has_no_capability_and_no_socket(
    guarded: Box, container_engine: PrivateEngine
) -> None:
    assert guarded.manage("tasks", "run", "long").returncode == 0
    wait_for(lambda: running(guarded, container_engine), 60, "the container runs")
    looked_at = 0
    with container_engine.client() as client:
        for row in containers(guarded, container_engine):
            state = client.inspect_container(row["Id"])
            host = state["HostConfig"]
            assert (host["CapDrop"], host["Privileged"]) == (["ALL"], False)
            assert not host["CapAdd"]
            assert "no-new-privileges:true" in host["SecurityOpt"]
            assert not state["Mounts"]
            assert not host["Binds"]
            for process in processes(client, row["Id"], "-o pid"):
                status = status_of(int(process[0]))
                assert capabilities(status) == set()
                assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
                looked_at += 1
    assert looked_at >= 3  # init, shell and command


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["guard", "worker"])
def test_when_one_is_killed_the_container_goes_and_the_step_is_for_a_person(
    container_engine: PrivateEngine, tmp_path: Path, victim: str
) -> None:
    with box_with(container_engine, tmp_path) as box:
        assert box.manage("tasks", "run", "long").returncode == 0
        wait_for(lambda: running(box, container_engine), 60, "the container runs")
        os.kill(box.pids()[victim], signal.SIGKILL)
        wait_for(lambda: not running(box, container_engine), 60, "the container is gone")
        wait_for(lambda: ambiguous(box), 90, "the step is ambiguous")


def ambiguous(box: Box) -> bool:
    rows = json.loads(box.manage("runs", "list", "--json").stdout)
    return any(
        row["task"] == "long" and "whether it took effect is not known" in row["reason"] for row in rows
    )
