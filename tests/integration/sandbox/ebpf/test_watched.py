"""Jobs of the process sandbox under the kernel's rules: real guard, real spawner."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.sandbox.ebpf import cgroups, mounts
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.ebpf.watched import Undeclared
from appliance.sandbox.errors import JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Declared, Job, Outcome
from tests.guard import RunningGuard, no_engine, start_guard
from tests.kernel_rules import clear
from tests.spawner import RunningSpawner, start_spawner
from tests.wait import wait_for_async

REACH = 'exec 3<>/dev/tcp/127.0.0.1/"$1" && echo reached'


def reach(
    port: int, *, network: tuple[str, ...] | None = None, programs: tuple[str, ...] | None = None
) -> Job:
    return Job(argv=("/bin/bash", "-c", REACH, "mw", str(port)), declared=Declared(network, programs))


@pytest.fixture
def port() -> Iterator[int]:
    """Where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


async def test_a_job_reaches_what_it_declares_and_nothing_else(watched: WatchedSandbox, port: int) -> None:
    allowed = await watched.run(reach(port, network=(f"127.0.0.1:{port}",)))
    assert allowed.stdout.text == "reached\n"
    assert allowed.watched
    assert allowed.watched.findings == ()
    for network in ((), ("127.0.0.1:9",), ("192.0.2.0/24",)):
        denied = await watched.run(reach(port, network=network))
        assert "Operation not permitted" in denied.stderr.text
        assert denied.watched
        assert denied.watched.findings == (f"reached for 127.0.0.1:{port} (tcp): denied",)


async def test_a_job_that_declares_nothing_is_recorded_only(watched: WatchedSandbox, port: int) -> None:
    outcome = await watched.run(reach(port))
    assert outcome.stdout.text == "reached\n"
    assert outcome.watched
    assert outcome.watched.observed
    assert [one.where for one in outcome.watched.observed.contacts] == [f"127.0.0.1:{port}"]
    assert [one.path for one in outcome.watched.observed.executed] == ["/bin/bash"]
    assert outcome.watched.findings == ()


async def test_the_settings_can_deny_or_mark_those_that_declare_nothing(
    guard: RunningGuard, spawner: RunningSpawner, port: int
) -> None:
    said: dict[Undeclared, Outcome] = {}
    for undeclared in Undeclared:
        sandbox = WatchedSandbox(guard.home.guard_socket, spawner.sandbox, Manner(undeclared=undeclared))
        said[undeclared] = await sandbox.run(reach(port))
    told = {
        mode: (outcome.stdout.text, outcome.watched and outcome.watched.findings)
        for mode, outcome in said.items()
    }
    where = f"reached for 127.0.0.1:{port} (tcp)"
    assert told == {
        Undeclared.ALLOW: ("reached\n", ()),
        Undeclared.AMBER: ("reached\n", (where,)),
        Undeclared.DENY: ("", (f"{where}: denied",)),
    }


async def test_an_undeclared_program_is_found(watched: WatchedSandbox) -> None:
    job = Job(argv=("/bin/sh", "-c", "ls / >/dev/null; uname"), declared=Declared(programs=("ls",)))
    outcome = await watched.run(job)
    assert outcome.exit_status == 0
    assert outcome.watched
    assert [Path(text).name for text in outcome.watched.findings] == ["uname"]


async def test_a_program_that_a_job_puts_under_a_declared_name_is_found(watched: WatchedSandbox) -> None:
    """An empty part of PATH is the folder of the job, and the shell then executes the name alone."""
    script = "cp /bin/true grep; PATH=:/usr/bin; grep; ls >/dev/null"
    outcome = await watched.run(
        Job(argv=("/bin/sh", "-c", script), declared=Declared(programs=("cp", "grep", "ls")))
    )
    assert (outcome.exit_status, outcome.stderr.text) == (0, "")
    assert outcome.watched
    assert outcome.watched.findings == ("executed grep",)


async def test_a_job_cannot_leave_its_control_group_or_change_its_rules(
    watched: WatchedSandbox, spawner: RunningSpawner, guard: RunningGuard
) -> None:
    tree = cgroups.tree_of(mounts.cgroup2(), guard.home.id)
    script = (
        f"echo 0 > {tree.parent}/cgroup.procs; echo 0 > {tree}/cgroup.procs; ls {mounts.bpffs()}; bpftool map"
    )
    outcome = await watched.run(Job(argv=("/bin/sh", "-c", script)))
    assert outcome.exit_status != 0
    assert outcome.stdout.text == ""
    assert outcome.stderr.text.lower().count("permission denied") >= 2


async def test_ways_that_no_rule_sees_are_closed_by_the_other_walls(watched: WatchedSandbox) -> None:
    """A packet socket goes beneath every hook, and a ring makes no system call of its own: neither can be had."""
    code = (
        "import ctypes, socket\n"
        "for family, kind, protocol in ((17, 3, 3), (2, 3, 17), (40, 1, 0)):\n"
        "    try: socket.socket(family, kind, protocol)\n"
        "    except OSError as e: print(e.errno)\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.syscall(425, 1, ctypes.create_string_buffer(120)), ctypes.get_errno())"
    )
    outcome = await watched.run(Job(argv=("python3", "-c", code)))
    assert outcome.stdout.text == "1\n1\n1\n-1 1\n", outcome.stderr.text


async def test_all_at_once_are_told_apart(watched: WatchedSandbox) -> None:
    jobs = [Job(argv=("/bin/sh", "-c", f"exec /usr/bin/env printf {n}")) for n in range(12)]
    outcomes = await asyncio.gather(*map(watched.run, jobs))
    assert [outcome.stdout.text for outcome in outcomes] == [str(n) for n in range(12)]
    for outcome in outcomes:
        assert outcome.watched
        assert outcome.watched.observed
        assert [one.count for one in outcome.watched.observed.executed][:2] == [1, 1]


async def test_a_cancelled_job_leaves_no_process_and_no_control_group(
    watched: WatchedSandbox, guard: RunningGuard
) -> None:
    tree = cgroups.tree_of(mounts.cgroup2(), guard.home.id)
    before = set(cgroups.present(tree))
    task = asyncio.create_task(watched.run(Job(argv=("sleep", "600"))))
    await wait_for_async(lambda: any(_processes(one) for one in set(cgroups.present(tree)) - before))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_for_async(lambda: not any(_processes(one) for one in cgroups.present(tree)))


def _processes(folder: Path) -> list[str]:
    try:
        return (folder / "cgroup.procs").read_text().split()
    except OSError:
        return []


async def test_a_killed_guard_leaves_the_rules_of_what_runs(open_folder: Path) -> None:
    folder = open_folder / "killed"
    folder.mkdir()
    guard = start_guard(folder, no_engine(folder))
    spawner = start_spawner(
        folder / "spawner-of-killed", cgroups=cgroups.tree_of(mounts.cgroup2(), guard.home.id)
    )
    try:
        watched = WatchedSandbox(guard.home.guard_socket, spawner.sandbox, Manner())
        seen = folder / "seen"
        seen.mkdir()
        script = f"until [ -e {seen}/go ]; do sleep 0.02; done; {REACH}"
        job = replace(reach(9, network=()), argv=("/bin/bash", "-c", script, "mw", "9"), reads=(str(seen),))
        running = asyncio.create_task(watched.run(job))
        tree = cgroups.tree_of(mounts.cgroup2(), guard.home.id)
        await wait_for_async(lambda: any(_processes(one) for one in cgroups.present(tree)))
        guard.process.send_signal(signal.SIGKILL)
        guard.process.wait(10)
        (seen / "go").touch()
        outcome = await running
        assert "Operation not permitted" in outcome.stderr.text
        assert outcome.watched
        assert outcome.watched.observed is None
        assert "its rules held" in outcome.watched.reason
    finally:
        spawner.stop()
        guard.kill()
        clear(guard.home.id)


async def test_without_guard_a_job_runs_and_says_that_nobody_watched(
    spawner: RunningSpawner, tmp_path: Path
) -> None:
    sandbox = WatchedSandbox(tmp_path / "no.sock", spawner.sandbox, Manner())
    outcome = await sandbox.run(Job(argv=("true",), declared=Declared(network=())))
    assert outcome.exit_status == 0
    assert outcome.watched
    assert (outcome.watched.observed, outcome.watched.reason) == (None, "guard does not answer")


async def test_where_guard_is_expected_back_what_is_to_be_limited_waits_for_it(
    spawner: RunningSpawner, tmp_path: Path
) -> None:
    sandbox = WatchedSandbox(tmp_path / "no.sock", spawner.sandbox, Manner(expected=True))
    with pytest.raises(SandboxUnavailable, match="cannot be limited now"):
        await sandbox.run(Job(argv=("true",), declared=Declared(network=())))
    assert (await sandbox.run(Job(argv=("true",)))).exit_status == 0
    silent = WatchedSandbox(
        tmp_path / "no.sock", spawner.sandbox, Manner(expected=True, undeclared=Undeclared.DENY)
    )
    with pytest.raises(SandboxUnavailable, match="cannot be limited now"):
        await silent.run(Job(argv=("true",)))


async def test_a_limit_that_guard_does_not_take_is_no_limit_to_run_without(watched: WatchedSandbox) -> None:
    many = tuple(f"10.{n // 250}.{n % 250}.0/24" for n in range(1025))
    with pytest.raises(JobRefused, match="network"):
        await watched.run(Job(argv=("true",), declared=Declared(network=many)))


async def test_where_it_is_required_what_declares_its_network_does_not_run_without(
    spawner: RunningSpawner, tmp_path: Path
) -> None:
    sandbox = WatchedSandbox(tmp_path / "no.sock", spawner.sandbox, Manner(required=True))
    with pytest.raises(SandboxUnavailable, match="cannot be enforced: guard does not answer"):
        await sandbox.run(Job(argv=("true",), declared=Declared(network=())))
    assert (await sandbox.run(Job(argv=("true",)))).exit_status == 0
    denying = Manner(required=True, undeclared=Undeclared.DENY)
    with pytest.raises(SandboxUnavailable, match="network of the step cannot be enforced"):
        await WatchedSandbox(tmp_path / "no.sock", spawner.sandbox, denying).run(Job(argv=("true",)))


async def test_guard_says_that_the_rules_are_in_force(guard: RunningGuard) -> None:
    assert (await guard.client.ask("probe"))["rules"] == {"healthy": True, "message": ""}


async def test_guard_says_that_they_are_switched_off(spawner: RunningSpawner, tmp_path: Path) -> None:
    guard = start_guard(tmp_path, no_engine(tmp_path), MILLWRIGHT_KERNEL_RULES="off")
    try:
        answer = await guard.client.ask("probe")
        assert answer["rules"] == {"healthy": True, "message": "MILLWRIGHT_KERNEL_RULES is off"}
        sandbox = WatchedSandbox(guard.home.guard_socket, spawner.sandbox, Manner(expected=True))
        outcome = await sandbox.run(Job(argv=("true",), declared=Declared(network=())))
        assert outcome.watched
        assert outcome.watched.reason == "MILLWRIGHT_KERNEL_RULES is off"
    finally:
        guard.stop()


async def test_the_spawner_takes_no_path_for_a_control_group(
    spawner: RunningSpawner,
) -> None:
    for name in ("../..", "/etc", "job 1", "x" * 64):
        with pytest.raises(JobRefused, match="cgroup must be a name"):
            await spawner.sandbox.run(Job(argv=("true",), cgroup=name))
    with pytest.raises(SandboxUnavailable, match="not there"):
        await spawner.sandbox.run(Job(argv=("true",), cgroup="job-none"))
