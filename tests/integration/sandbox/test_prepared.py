"""A process that is made before its job is known: it becomes that job alone, and where none comes, nothing is left."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from appliance.sandbox.ports import CheckpointFile, Job
from appliance.sandbox.process import spare, tree
from appliance.sandbox.process.client import ProcessSandbox
from tests.spawner import JOB_UID, RunningSpawner
from tests.wait import wait_for, wait_for_async

Start = Callable[..., RunningSpawner]
WHO = Job(("/bin/sh", "-c", "echo $$; pwd; env"))


@pytest.fixture
def spawner(start: Start, monkeypatch: pytest.MonkeyPatch) -> RunningSpawner:
    monkeypatch.setattr(spare, "KEPT", 30.0)
    return start()


@pytest.fixture
async def sandbox(spawner: RunningSpawner) -> AsyncIterator[ProcessSandbox]:
    """One that has just run a job."""
    made = ProcessSandbox(spawner.socket, ahead=True)
    await made.run(Job(("/bin/true",), env={"SECRET": "of the job before"}))
    yield made
    made.close()


def waiting(spawner: RunningSpawner) -> list[int]:
    """Processes that supervisors have below them."""
    top = spawner.process.pid
    parents = {pid: found[0] for pid in tree.descendants(top) if (found := tree.parent_of(pid))}
    return [pid for pid, parent in parents.items() if parent != top]


async def one_waits(spawner: RunningSpawner, sandbox: ProcessSandbox) -> int:
    """The process that waits, when it has given up all that it can before it knows the job."""
    await wait_for_async(lambda: sandbox.is_prepared)
    (pid,) = await wait_for_async(lambda: waiting(spawner))
    await wait_for_async(lambda: fields(pid)["NoNewPrivs"] == ["1"])
    return int(pid)


def fields(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


async def test_the_next_job_runs_in_it_and_knows_nothing_of_the_one_before(
    spawner: RunningSpawner, sandbox: ProcessSandbox
) -> None:
    pid = await one_waits(spawner, sandbox)
    (folder,) = spawner.work_folders
    said = (await sandbox.run(WHO)).stdout.text.splitlines()
    assert said[:2] == [str(pid), str(folder)]
    assert not [line for line in said if "SECRET" in line]
    assert pid != await one_waits(spawner, sandbox), "one process served two jobs"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a spawner of root")
async def test_it_waits_without_any_powers(spawner: RunningSpawner, sandbox: ProcessSandbox) -> None:
    status = fields(await one_waits(spawner, sandbox))
    assert status["Uid"] == [str(JOB_UID)] * 4
    assert status["Groups"] == []
    assert {status[name][0] for name in ("CapEff", "CapPrm", "CapAmb")} == {"0" * 16}


async def test_one_that_nobody_needed_leaves_nothing(
    spawner: RunningSpawner, sandbox: ProcessSandbox
) -> None:
    await one_waits(spawner, sandbox)
    sandbox.close()
    await wait_for_async(lambda: not waiting(spawner) and not spawner.work_folders)


async def test_it_ends_with_its_supervisor(spawner: RunningSpawner, sandbox: ProcessSandbox) -> None:
    pid = await one_waits(spawner, sandbox)
    found = tree.parent_of(pid)
    assert found
    os.kill(found[0], signal.SIGKILL)
    wait_for(lambda: not waiting(spawner))
    assert sandbox._spare
    wait_for(lambda: not sandbox._spare or sandbox._spare.has_been_answered)
    assert (await sandbox.run(WHO)).exit_status == 0


async def test_where_it_was_killed_the_job_runs_in_another(
    spawner: RunningSpawner, sandbox: ProcessSandbox
) -> None:
    pid = await one_waits(spawner, sandbox)
    os.kill(pid, signal.SIGKILL)
    await wait_for_async(lambda: pid not in waiting(spawner))
    outcome = await sandbox.run(WHO)
    assert outcome.exit_status == 0
    assert outcome.stdout.text.splitlines()[0] != str(pid)


async def test_stopping_the_spawner_waits_for_no_job_of_it(
    spawner: RunningSpawner, sandbox: ProcessSandbox
) -> None:
    await one_waits(spawner, sandbox)
    spawner.stop()
    assert not spawner.work_folders


async def test_what_a_job_declares_is_looked_up_when_it_comes(
    spawner: RunningSpawner, sandbox: ProcessSandbox, open_folder: Path
) -> None:
    """A file is replaced by renaming: rules that were made for the one before it would not let the job read it."""
    path = open_folder / "late"
    path.write_text("before")
    await one_waits(spawner, sandbox)
    (open_folder / "new").write_text("after")
    (open_folder / "new").rename(path)
    undeclared = await sandbox.run(Job(("/bin/cat", str(path))))
    assert undeclared.exit_status != 0
    await one_waits(spawner, sandbox)
    assert (await sandbox.run(Job(("/bin/cat", str(path)), reads=(str(path),)))).stdout.text == "after"


async def test_a_job_in_a_folder_of_its_choice_is_made_anew(
    spawner: RunningSpawner, sandbox: ProcessSandbox, open_folder: Path
) -> None:
    pid = await one_waits(spawner, sandbox)
    job = Job(WHO.argv, workdir=open_folder, reads=(str(open_folder),))
    said = (await sandbox.run(job)).stdout.text.splitlines()
    assert said[0] != str(pid)
    assert said[1] == str(open_folder)


async def test_a_checkpoint_is_put_back_before_it_begins(
    spawner: RunningSpawner, sandbox: ProcessSandbox
) -> None:
    async def keep(content: bytes) -> None:
        assert content

    await one_waits(spawner, sandbox)
    script = 'cat "$MILLWRIGHT_CHECKPOINT"; cat note'
    file = CheckpointFile(keep=keep, note=print, limit=1000, every=60.0, initial=b"as far as this")
    outcome = await sandbox.run(
        Job(("/bin/sh", "-c", script), checkpoint=file, files={"note": ", and a file"})
    )
    assert outcome.stdout.text == "as far as this, and a file"


async def test_while_another_job_runs_nothing_is_prepared(
    spawner: RunningSpawner, sandbox: ProcessSandbox, open_folder: Path
) -> None:
    """It would take the processor from that one."""
    script = f"until [ -e {open_folder}/go ]; do sleep 0.05; done"
    other = asyncio.create_task(sandbox.run(Job(("/bin/sh", "-c", script), reads=(str(open_folder / "."),))))
    await wait_for_async(lambda: sandbox.is_busy)
    await sandbox.run(WHO)
    await wait_for_async(lambda: sandbox.has_connection)
    assert not sandbox.is_prepared
    (open_folder / "go").touch()
    assert (await other).exit_status == 0
    await one_waits(spawner, sandbox)
