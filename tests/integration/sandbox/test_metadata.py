"""What a job of the box's own user makes of the box's files: their modes, owners, times and attributes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job
from appliance.sandbox.process import seccomp
from tests.spawner import RunningSpawner, start_spawner, without_call

_CHANGES = (
    'chmod 777 "$1"; chmod 777 "$1/secrets" "$1/secrets/password"; touch -d 2001-01-01 "$1/secrets/password";'
    ' chgrp "$(id -g)" "$1/secrets/password"; chmod 000 "$2"; ln -s "$1/secrets" way; chmod 777 way;'
    ' perl -e \'utime 1, 1, $ARGV[0]; syscall(188, $ARGV[0], "user.mark", "x", 1, 0)\' "$1/secrets/password"'
)


def _wrapper(kind: str) -> tuple[str, ...]:
    """``refused``: a kernel on which nobody but root may make namespaces, as some distributions and containers have."""
    numbers = seccomp.architecture()
    if numbers is None:
        pytest.skip("there is no system call filter for this type of machine")
    return without_call(numbers.refused["unshare"], "EPERM") if kind == "refused" else ()


@pytest.fixture(scope="module", params=["hidden", "refused"])
def shared(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[RunningSpawner]:
    place = open_folder / request.param
    weights = place / "home" / "models" / "tiny" / "1" / "model.gguf"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights\n")
    running = start_spawner(
        place, shared_user=True, wrapper=_wrapper(request.param), models=place / "home" / "models"
    )
    yield running
    running.stop()


def looks(spawner: RunningSpawner) -> list[tuple[int, int, int, int]]:
    """Mode, owner, group and time of change of the folders and files of the box."""
    paths = [spawner.home, *sorted(spawner.home.rglob("*")), spawner.socket.parent, spawner.socket]
    return [(s.st_mode, s.st_uid, s.st_gid, s.st_ctime_ns) for s in map(os.stat, paths)]


async def test_no_job_changes_modes_owners_or_times_of_the_boxs_files(shared: RunningSpawner) -> None:
    before = looks(shared)
    job = Job(("/bin/sh", "-c", _CHANGES, "mw", str(shared.home), str(shared.socket.parent)), timeout=20)
    outcome = await shared.sandbox.run(job)
    assert looks(shared) == before
    assert outcome.stderr.text.count("chmod: ") >= 5


async def test_a_job_changes_the_modes_of_its_own_files_where_the_boxs_are_hidden(
    shared: RunningSpawner,
) -> None:
    script = """
        echo 'echo ran' > own; touch own; cp -p own copy
        chmod 700 own && ./own
        ls -A "$1" "$2"
    """
    job = Job(("/bin/sh", "-c", script, "mw", str(shared.home), str(shared.socket.parent)), timeout=20)
    outcome = await shared.sandbox.run(job)
    said = outcome.stderr.text
    assert "touch: " not in said  # it changes what it holds open, and so does the next
    assert "cp: " not in said
    if "chmod: " in said:  # no namespaces: nothing else tells one file from another
        assert "Operation not permitted" in said
        assert "Permission denied" in said
    else:
        assert outcome.stdout.text == "ran\n"
        assert said.count("ls: cannot open directory") == 2


async def test_a_private_view_of_the_files_gives_no_capability(shared: RunningSpawner) -> None:
    outcome = await shared.sandbox.run(Job(("grep", "-E", "^(CapPrm|CapEff|CapAmb)", "/proc/self/status")))
    assert {line.split()[1] for line in outcome.stdout.text.splitlines()} == {"0" * 16}


async def test_what_a_job_declares_of_the_models_it_reads_and_changes_nothing_of_it(
    shared: RunningSpawner,
) -> None:
    weights = shared.home / "models" / "tiny" / "1" / "model.gguf"
    script = 'cat "$1"; chmod 600 "$1"; touch "$1"; echo more >> "$1"; cat "$2/secrets/password"'
    job = Job(
        ("/bin/sh", "-c", script, "mw", str(weights), str(shared.home)),
        reads=(str(weights.parent),),
        timeout=20,
    )
    before = looks(shared)
    outcome = await shared.sandbox.run(job)
    assert outcome.stdout.text == "weights\n"
    assert looks(shared) == before
    undeclared = await shared.sandbox.run(Job(("/bin/cat", str(weights)), timeout=20))
    assert undeclared.stdout.text == ""
    for wrong in (
        {"writes": (str(weights.parent),)},
        {"reads": (str(shared.home / "models"),)},
        {"reads": (str(shared.home / "secrets"),)},
        {"workdir": weights.parent},
    ):
        with pytest.raises(JobRefused):
            await shared.sandbox.run(Job(("/bin/true",), **wrong))
