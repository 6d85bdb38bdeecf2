"""A control group that is made before its job: the job begins in it only where it may reach just what it asked for."""

import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance.sandbox.ebpf import ahead, cgroups, mounts
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.ports import Declared, Job, Outcome
from appliance.sandbox.process import spare
from appliance.sandbox.process.client import ProcessSandbox
from tests.guard import RunningGuard, no_engine, start_guard
from tests.kernel_rules import clear
from tests.spawner import RunningSpawner, start_spawner
from tests.wait import wait_for_async

TRUE = Job(("/bin/true",))
WHERE = Job(("/bin/sh", "-c", "cat /proc/self/cgroup"))


@pytest.fixture(autouse=True)
def _kept_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ahead, spare):
        monkeypatch.setattr(module, "KEPT", 30.0)


@pytest.fixture
async def watched(guard: RunningGuard, spawner: RunningSpawner) -> AsyncIterator[WatchedSandbox]:
    """One that has just run a job which declares nothing."""
    made = WatchedSandbox(
        guard.home.guard_socket, ProcessSandbox(spawner.socket, ahead=True), Manner(expected=True)
    )
    await made.run(TRUE)
    yield made
    made.close()


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def groups(home_id: str) -> set[str]:
    """The control groups in which a process waits."""
    tree = cgroups.tree_of(mounts.cgroup2(), home_id)
    return {folder.name for folder in cgroups.present(tree) if (folder / "cgroup.procs").read_text().strip()}


def _is_left(guard: RunningGuard, name: str) -> bool:
    return name not in groups(guard.home.id)


async def made_ahead(guard: RunningGuard) -> str:
    (name,) = await wait_for_async(lambda: groups(guard.home.id))
    return str(name)


def observed(outcome: Outcome) -> tuple[list[tuple[str, int]], int]:
    assert outcome.watched
    assert outcome.watched.observed
    record = outcome.watched.observed
    return [(Path(one.path).name, one.count) for one in record.executed], record.ended


async def test_each_job_begins_in_one_of_its_own_and_has_its_own_record(
    watched: WatchedSandbox, guard: RunningGuard
) -> None:
    seen = set()
    for _ in range(3):
        name = await made_ahead(guard)
        outcome = await watched.run(WHERE)
        assert outcome.stdout.text.strip().endswith(f"/{name}")
        programs, ended = observed(outcome)
        assert programs == [("sh", 1), ("cat", 1)]
        assert ended == 2
        await wait_for_async(partial(_is_left, guard, name))
        seen.add(name)
    assert len(seen) == 3


async def test_a_job_that_may_reach_something_else_does_not_begin_in_it(
    watched: WatchedSandbox, guard: RunningGuard, port: int
) -> None:
    name = await made_ahead(guard)
    script = f"cat /proc/self/cgroup; exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"
    job = Job(("/bin/bash", "-c", script))
    limited = await watched.run(Job(job.argv, declared=Declared(("192.0.2.0/24",))))
    assert name not in limited.stdout.text
    assert "reached" not in limited.stdout.text
    assert observed(limited)[1] == 2
    free = await watched.run(job)
    assert name in free.stdout.text
    assert "reached" in free.stdout.text


async def test_a_job_in_a_folder_of_its_choice_does_not_begin_in_it(
    watched: WatchedSandbox, guard: RunningGuard, open_folder: Path
) -> None:
    name = await made_ahead(guard)
    folder = open_folder / "chosen"
    folder.mkdir()
    outcome = await watched.run(Job(WHERE.argv, workdir=folder, reads=(str(folder),)))
    assert outcome.exit_status == 0
    assert name not in outcome.stdout.text


async def test_nothing_waits_in_it_when_nobody_wants_it(watched: WatchedSandbox, guard: RunningGuard) -> None:
    await made_ahead(guard)
    watched.close()
    await wait_for_async(lambda: not groups(guard.home.id))


async def test_one_of_a_guard_that_was_killed_is_not_used(open_folder: Path) -> None:
    """Nobody would say what the job did."""
    folder = open_folder / "ahead"
    folder.mkdir()
    guard = start_guard(folder, no_engine(folder))
    tree = cgroups.tree_of(mounts.cgroup2(), guard.home.id)
    spawner = start_spawner(folder / "spawner-ahead", cgroups=tree)
    sandbox = WatchedSandbox(guard.home.guard_socket, ProcessSandbox(spawner.socket, ahead=True), Manner())
    try:
        await sandbox.run(TRUE)
        name = await made_ahead(guard)
        guard.kill()
        outcome = await sandbox.run(WHERE)
        assert name not in outcome.stdout.text
        assert outcome.watched
        assert outcome.watched.reason == "guard does not answer"
    finally:
        sandbox.close()
        spawner.stop()
        guard.kill()
        clear(guard.home.id)
