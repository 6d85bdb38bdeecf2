"""The programs that were looked at are those that run, or nothing runs.

For jobs on this machine: a container's programs are its image's, which the digest of the image pins.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.safety.commands import plan, understand, understand_argv
from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job, Sandbox

pytestmark = pytest.mark.parametrize("member", ["process"], indirect=True, scope="module")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the job's user may read and execute in."""
    with TemporaryDirectory(prefix="millwright-pins-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def program(folder: Path, text: str) -> Path:
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def job(folder: Path) -> Job:
    found = plan(understand_argv(["tool", "x"]), [str(folder)])
    return Job(
        ("tool", "x"), reads=(str(folder),), pins=found.pins, seen=found.seen, executable=found.executable
    )


async def test_a_job_whose_programs_are_the_same_runs_by_the_path_that_was_looked_at(
    sandbox: Sandbox, folder: Path
) -> None:
    program(folder, 'echo "$0 $1"')
    outcome = await sandbox.run(job(folder))
    assert (outcome.exit_status, outcome.stdout.text) == (0, f"{folder}/tool x\n")


async def test_a_program_that_was_changed_since_is_refused_and_named(sandbox: Sandbox, folder: Path) -> None:
    program(folder, "echo first")
    looked_at = job(folder)
    program(folder, "touch ran")
    with pytest.raises(JobRefused, match=f"{folder}/tool is not the program"):
        await sandbox.run(looked_at)


async def test_a_program_that_was_put_in_its_place_is_refused(sandbox: Sandbox, folder: Path) -> None:
    path = program(folder, "echo first")
    looked_at = job(folder)
    path.unlink()
    path.symlink_to("/usr/bin/env")
    with pytest.raises(JobRefused, match="is not the program"):
        await sandbox.run(looked_at)
    path.unlink()
    with pytest.raises(JobRefused, match="cannot be looked at"):
        await sandbox.run(looked_at)


async def test_the_same_content_in_a_new_file_is_the_same_program(sandbox: Sandbox, folder: Path) -> None:
    program(folder, "echo same")
    looked_at = job(folder)
    (folder / "tool").unlink()
    program(folder, "echo same")
    assert (await sandbox.run(looked_at)).stdout.text == "same\n"


async def test_every_program_of_a_script_is_looked_at(sandbox: Sandbox) -> None:
    script = "cat /etc/hostname | grep -c ."
    found = plan(understand(script, []))
    shell = Job(("/bin/sh", "-c", script), pins=found.pins, seen=found.seen, executable=found.executable)
    assert (await sandbox.run(shell)).exit_status == 0
    grep = os.path.realpath("/usr/bin/grep")
    for digest in ("0" * 64, hashlib.sha256(b"").hexdigest()):
        bad = Job(shell.argv, pins={**found.pins, grep: digest}, executable=found.executable)
        with pytest.raises(JobRefused, match=f"{grep} is not the program"):
            await sandbox.run(bad)
