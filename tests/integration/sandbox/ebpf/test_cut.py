"""The all-stop's level ``cut`` on what runs in sandboxes: their packets stop, whatever a step may reach otherwise."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from appliance.lib.config import read_config
from appliance.processes.cutting import Cut, what_is_cut
from appliance.safety.stop import Level, StopFile
from appliance.sandbox.ebpf import cgroups, mounts
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.ebpf.rules import KernelRules, Wanted
from appliance.sandbox.ebpf.tables import Destination
from appliance.sandbox.ports import Job
from tests.guard import no_engine, start_guard
from tests.integration.sandbox.ebpf.test_rules_life import CONNECT, from_inside
from tests.integration.sandbox.ebpf.test_watched import REACH, reach
from tests.kernel_rules import clear
from tests.spawner import RunningSpawner, start_spawner
from tests.wait import wait_for, wait_for_async

SENDS = """
import errno, socket, sys
stream = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
packets.connect(("127.0.0.1", int(sys.argv[2])))
for line in sys.stdin:
    stream.send(b"s")
    try:
        packets.send(b"p")
        print("sent", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Where somebody listens, by TCP and by UDP."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets,
    ):
        packets.bind(("127.0.0.1", 0))
        yield listener, packets


@pytest.mark.parametrize("wanted", [Wanted(), Wanted([Destination(ip_network("127.0.0.0/8"))])])
def test_a_job_that_runs_loses_its_network_and_gets_it_back(
    rules: KernelRules, ends: tuple[socket.socket, socket.socket], wanted: Wanted
) -> None:
    watch = rules.begin(wanted)
    ports = [str(end.getsockname()[1]) for end in ends]
    command = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(watch.folder / "cgroup.procs")]
    with subprocess.Popen(
        [*command, sys.executable, "-c", SENDS, *ports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        stream, _ = ends[0].accept()

        def send() -> str:
            assert job.stdin
            assert job.stdout
            job.stdin.write("\n")
            job.stdin.flush()
            return job.stdout.readline().strip()

        with stream:
            stream.settimeout(5)
            assert (send(), stream.recv(9)) == ("sent", b"s")
            rules.set_cut(True)
            assert send() == "EPERM"
            stream.settimeout(0.1)
            with pytest.raises(TimeoutError):  # of a connection that stood before, too
                stream.recv(9)
            assert from_inside(watch.folder, CONNECT, ports[0]) == "EPERM"
            rules.set_cut(False)
            assert send() == "sent"
            stream.settimeout(30)
            assert stream.recv(1) == b"s"  # TCP asks again for what was held back
        job.kill()
    observed = rules.end(watch)
    assert ("cut", True) in [(one.by, one.denied) for one in observed.contacts]


def test_a_job_that_begins_while_it_is_cut_has_none_also_under_the_next_guard(home_id: str) -> None:
    earlier = KernelRules(home_id, time.monotonic)
    earlier.set_cut(True)
    running = earlier.begin(Wanted())
    job = subprocess.Popen(
        ["sh", "-c", 'echo 0 >"$0" && exec sleep 60', str(running.folder / "cgroup.procs")]
    )
    wait_for(lambda: (running.folder / "cgroup.procs").read_text())
    earlier.close()
    later = KernelRules(home_id, time.monotonic)
    try:
        assert from_inside(running.folder, CONNECT, "9") == "EPERM"
        assert from_inside(later.begin(Wanted()).folder, CONNECT, "9") == "EPERM"
        later.set_cut(False)
        assert from_inside(later.begin(Wanted()).folder, CONNECT, "9") == "ECONNREFUSED"
    finally:
        job.kill()
        job.wait()
        later.close()


@pytest.fixture
def box(tmp_path: Path, open_folder: Path) -> Iterator[tuple[Path, RunningSpawner]]:
    """A spawner of a home of its own, whose guard each test starts: it knows no stop, so its jobs outlive one."""
    folder = open_folder / tmp_path.name
    folder.mkdir()
    home_id = read_config({"MILLWRIGHT_HOME": str(folder / "home")}).home.id
    tree = cgroups.tree_of(mounts.cgroup2(), home_id)
    tree.mkdir(exist_ok=True)
    spawner = start_spawner(folder / "spawner", cgroups=tree)
    yield folder, spawner
    spawner.stop()
    clear(home_id)


async def test_guard_cuts_and_opens_by_the_stop_of_the_home_and_a_killed_one_leaves_it_cut_for_the_next_to_decide(
    box: tuple[Path, RunningSpawner],
) -> None:
    folder, spawner = box
    guard = start_guard(folder, no_engine(folder))
    try:
        stop = StopFile(guard.home.path)
        sandbox = WatchedSandbox(guard.home.guard_socket, spawner.sandbox, Manner())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            heard: list[bytes] = []
            script = f"while :; do ({REACH}) 2>/dev/null || echo denied; sleep 0.02; done"
            looping = replace(reach(port), argv=("/bin/bash", "-c", script, "mw", str(port)))
            task = asyncio.create_task(sandbox.run(looping, on_output=lambda _, data: heard.append(data)))
            await wait_for_async(lambda: b"reached" in b"".join(heard))
            ordered = time.monotonic()
            stop.write(Level.CUT, "ana", "smoke")
            config = read_config({"MILLWRIGHT_HOME": str(guard.home.path)})
            assert (await asyncio.to_thread(what_is_cut, config)).commands
            assert time.monotonic() - ordered < 1
            heard.clear()
            await wait_for_async(lambda: b"denied" in b"".join(heard))

            stop.remove()
            heard.clear()
            await wait_for_async(lambda: b"reached" in b"".join(heard))
            assert (await sandbox.run(reach(port))).exit_status == 0

            stop.write(Level.CUT, "ana", "smoke")
            heard.clear()
            await wait_for_async(lambda: b"denied" in b"".join(heard))
            guard.kill()
            heard.clear()
            await wait_for_async(lambda: b"denied" in b"".join(heard))
            stop.remove()  # while nobody is there to see it
            guard = start_guard(folder, no_engine(folder))
            heard.clear()
            await wait_for_async(lambda: b"reached" in b"".join(heard))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    finally:
        guard.kill()


async def test_what_began_while_guard_was_away_is_named_and_not_said_to_be_cut(
    box: tuple[Path, RunningSpawner],
) -> None:
    folder, spawner = box
    home = read_config({"MILLWRIGHT_HOME": str(folder / "home")}).home
    sandbox = WatchedSandbox(home.guard_socket, spawner.sandbox, Manner(expected=True))
    early = asyncio.create_task(sandbox.run(Job(("/bin/sleep", "60"), label="step fill of run 7")))
    await wait_for_async(lambda: spawner.work_folders)
    guard = start_guard(folder, no_engine(folder))
    try:
        StopFile(guard.home.path).write(Level.CUT, "ana", "smoke")
        config = read_config({"MILLWRIGHT_HOME": str(guard.home.path)})
        said = await wait_for_async(lambda: _named(what_is_cut(config)))
        assert said == "without them run step fill of run 7"
        early.cancel()
        await asyncio.gather(early, return_exceptions=True)
        await wait_for_async(lambda: what_is_cut(config).commands)
    finally:
        guard.kill()


def _named(cut: Cut) -> str:
    return cut.reason if "fill" in cut.reason and not cut.commands else ""


async def test_without_the_rules_the_stop_says_that_commands_are_not_cut(open_folder: Path) -> None:
    folder = open_folder / "uncut"
    folder.mkdir()
    guard = start_guard(folder, no_engine(folder), MILLWRIGHT_KERNEL_RULES="off")
    home = {"MILLWRIGHT_HOME": str(guard.home.path)}
    try:
        StopFile(guard.home.path).write(Level.CUT, "ana", "smoke")
        off = await asyncio.to_thread(what_is_cut, read_config({**home, "MILLWRIGHT_KERNEL_RULES": "off"}))
        assert (off.commands, off.reason) == (False, "MILLWRIGHT_KERNEL_RULES is off")
        told = await asyncio.to_thread(what_is_cut, read_config(home))  # as guard knows better
        assert (told.commands, told.reason) == (False, "MILLWRIGHT_KERNEL_RULES is off")
    finally:
        guard.stop()
    away = await asyncio.to_thread(what_is_cut, read_config(home))
    assert not away.commands
    assert "guard does not answer" in away.said
