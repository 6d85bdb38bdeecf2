"""Start, stop and violent ends of the spawner and of those who talk to it."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.safety.stop import StopFile
from appliance.sandbox.errors import JobLost, SandboxUnavailable
from appliance.sandbox.ports import Job, Outcome
from appliance.sandbox.process import landlock, tree, wire
from appliance.sandbox.process.client import ProcessSandbox
from appliance.sandbox.process.command import spawner_argv
from tests.spawner import JOB_UID, RunningSpawner, processes_with, without_call
from tests.wait import wait_for, wait_for_async

Start = Callable[..., RunningSpawner]
LOOP = 'sh -c \'trap "" TERM HUP INT; while :; do sleep 1; done\' "$1"'
STUBBORN = f"trap '' TERM HUP INT; setsid {LOOP} & echo $PPID; wait"


def stubborn(marker: str) -> Job:
    return Job(("/bin/sh", "-c", STUBBORN, "mw", marker), timeout=60)


async def begin(spawner: RunningSpawner, marker: str) -> tuple[asyncio.Task[Outcome], int]:
    """Start a job that clings to life. Gives the task that awaits it and the process of its supervisor."""
    seen: list[bytes] = []
    task: asyncio.Task[Outcome] = asyncio.create_task(
        spawner.sandbox.run(stubborn(marker), on_output=lambda _, data: seen.append(data))
    )
    await wait_for_async(lambda: seen and len(processes_with(marker)) >= 2)
    return task, int(seen[0])


async def test_a_killed_spawner_leaves_no_job_and_the_next_one_tidies_up(start: Start, marker: str) -> None:
    spawner = start()
    task, _ = await begin(spawner, marker)
    assert len(spawner.work_folders) == 1
    stale = spawner.spool / "left-by-a-power-cut"
    (stale / "deep").mkdir(parents=True)
    spawner.kill()
    assert (await task).cancelled
    assert processes_with(marker) == []
    with pytest.raises(SandboxUnavailable):
        await spawner.sandbox.run(Job(("true",)))
    successor = start()
    assert successor.work_folders == []
    assert (await successor.sandbox.run(Job(("true",)))).exit_status == 0


async def test_a_killed_supervisor_leaves_no_job(start: Start, marker: str) -> None:
    spawner = start()
    task, supervisor = await begin(spawner, marker)
    os.kill(supervisor, 9)
    with pytest.raises(JobLost):
        await task
    await wait_for_async(lambda: not processes_with(marker) and not spawner.work_folders)
    assert (await spawner.sandbox.run(Job(("true",)))).exit_status == 0


async def test_stopping_the_spawner_ends_every_job_and_leaves_nothing(start: Start, marker: str) -> None:
    spawner = start()
    task, _ = await begin(spawner, marker)
    spawner.process.terminate()
    assert (await task).cancelled
    assert processes_with(marker) == []
    assert await asyncio.to_thread(spawner.process.wait, 10) == 0
    assert not spawner.socket.exists()
    assert not spawner.spool.exists()


async def test_a_client_that_vanishes_ends_its_job(start: Start, marker: str) -> None:
    spawner = start()
    program = (
        "import asyncio, sys; from pathlib import Path; from appliance.sandbox.ports import Job;"
        "from appliance.sandbox.process.client import ProcessSandbox;"
        "job = Job(('/bin/sh', '-c', sys.argv[2], 'mw', sys.argv[3]));"
        "asyncio.run(ProcessSandbox(Path(sys.argv[1])).run(job))"
    )
    client = subprocess.Popen([sys.executable, "-c", program, str(spawner.socket), STUBBORN, marker])
    await wait_for_async(lambda: len(processes_with(marker)) >= 3)
    client.kill()
    client.wait()
    await wait_for_async(lambda: not processes_with(marker) and not spawner.work_folders)


async def test_whatever_a_job_leaves_in_its_folder_goes(start: Start, tmp_path: Path) -> None:
    spawner = start()
    keep = tmp_path / "keep"
    keep.write_text("still here")
    script = """
        ln -s "$1" link; mkdir -p closed/inner; echo x > closed/inner/file; mkfifo pipe
        ln -s "${1%/*}" folderlink; chmod 000 closed/inner closed
        i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; chmod 000 .; echo "$i"
    """
    outcome = await spawner.sandbox.run(Job(("/bin/sh", "-c", script, "mw", str(keep))))
    assert outcome.stdout.text == "1500\n"
    await wait_for_async(lambda: not spawner.work_folders)
    assert keep.read_text() == "still here"


async def test_the_socket_is_for_its_owner_alone(start: Start) -> None:
    spawner = start()
    assert stat.S_IMODE(spawner.socket.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
async def test_another_user_is_refused_even_when_the_socket_lets_it_in(start: Start, tmp_path: Path) -> None:
    spawner = start()
    spawner.socket.chmod(0o777)
    code = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]);"
        "os.setuid(int(sys.argv[2])); s.connect('spawner.sock'); print(s.makefile('rb').read())"
    )
    argv = [sys.executable, "-c", code, str(spawner.socket.parent), str(JOB_UID + 1)]
    for folder in (spawner.socket.parent, tmp_path):
        folder.chmod(0o755)
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, check=True, timeout=10)
    assert b"may not have jobs run here" in done.stdout


async def test_a_second_spawner_on_the_same_socket_is_refused(start: Start, tmp_path: Path) -> None:
    spawner = start()
    uid = JOB_UID if os.geteuid() == 0 else None
    argv = spawner_argv(spawner.socket, spawner.home, uid=uid, spool=spawner.spool)
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert b"another spawner serves" in done.stderr
    assert (await spawner.sandbox.run(Job(("true",)))).exit_status == 0


def test_a_wrong_command_line_is_explained(tmp_path: Path) -> None:
    argv = spawner_argv(tmp_path / "s", tmp_path)
    for extra, words in (
        (["--speed", "9"], b"--speed is not an option"),
        (["--gid"], b"--gid needs a value"),
    ):
        done = subprocess.run([*argv, *extra], capture_output=True, timeout=30)
        assert done.returncode == 2
        assert words in done.stderr
    if os.geteuid() == 0:
        done = subprocess.run(argv, capture_output=True, timeout=30)
        assert done.returncode == 2
        assert b"needs --uid" in done.stderr
        done = subprocess.run([*argv, "--uid", "7", "--peer-uid", "7"], capture_output=True, timeout=30)
        assert done.returncode == 2
        assert b"must differ" in done.stderr


async def test_without_landlock_every_job_is_refused(start: Start) -> None:
    wrapper = without_call(landlock.CREATE_RULESET, "ENOSYS")
    spawner = start(wrapper=wrapper)
    for ask in (spawner.sandbox.run(Job(("touch", "ran"))), spawner.sandbox.probe()):
        with pytest.raises(SandboxUnavailable, match="no Landlock") as refusal:
            await ask
        assert not refusal.value.permanent
        assert refusal.value.hint
        assert "Linux 5.13" in refusal.value.hint


async def test_one_job_too_many_is_turned_away_at_once(start: Start, marker: str) -> None:
    spawner = start(max_jobs=2)
    tasks = [(await begin(spawner, f"{marker}-{number}"))[0] for number in range(2)]
    with pytest.raises(SandboxUnavailable, match="2 jobs run already"):
        await spawner.sandbox.run(Job(("true",)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    async def served() -> bool:
        try:
            return (await spawner.sandbox.run(Job(("true",)))).exit_status == 0
        except SandboxUnavailable:
            return False

    await wait_for_async(served)


async def test_nonsense_and_silence_disturb_nobody(start: Start) -> None:
    spawner = start()
    answers = []
    silent = [socket.socket(socket.AF_UNIX) for _ in range(6)]
    for connection in silent:
        connection.connect(str(spawner.socket))
    for nonsense in (
        b"GET / HTTP/1.1\r\n\r\n",
        wire.frame(wire.REQUEST, b"[" * 100_000),
        wire.frame(b"?", b""),
    ):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(spawner.socket))
            connection.sendall(nonsense)
            answers.append(connection.recv(1))
    assert answers == [wire.REFUSED] * 3
    assert (await spawner.sandbox.run(Job(("true",)))).exit_status == 0
    for connection in silent:
        connection.close()


async def test_a_client_that_does_not_read_does_not_hold_the_job_up(start: Start) -> None:
    spawner = start()
    # Enough that the live output alone fills every buffer on the way.
    script = (
        "for i in 1 2 3 4 5 6 7 8; do head -c 500000 /dev/zero; sleep 0.06; done; echo x > done; sleep 30"
    )
    argv = ("/bin/sh", "-c", script)

    async def blocked() -> None:
        def listen(name: str, data: bytes) -> None:
            wait_for(lambda: list(spawner.spool.glob("*/done")), 15)

        await spawner.sandbox.run(Job(argv), on_output=listen)

    task = asyncio.create_task(blocked())
    await wait_for_async(lambda: list(spawner.spool.glob("*/done")), 15)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_spawner_is_a_clear_and_passing_trouble(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="cannot be reached") as trouble:
        await ProcessSandbox(tmp_path / "none.sock").run(Job(("true",)))
    assert not trouble.value.permanent


async def supervisor_of(spawner: RunningSpawner, script: str) -> tuple[int, list[str]]:
    """The process that a job's script ran below, and what else it said, once the job before has left its place."""
    job = Job(("/bin/sh", "-c", f"echo $PPID; {script}"))

    async def served() -> list[str] | None:
        try:
            return (await spawner.sandbox.run(job)).stdout.text.splitlines()
        except SandboxUnavailable:
            return None

    first, *rest = await wait_for_async(served)
    return int(first), rest


async def test_one_supervisor_serves_job_after_job_and_hands_nothing_on(start: Start) -> None:
    spawner = start(max_jobs=1)
    marks = "export MARK=$$; cd; touch mark; ulimit -n 20; umask 0; exec 7>held; (sleep 100 &)"
    first, _ = await supervisor_of(spawner, marks)
    look = "echo ${MARK-none}; ls -A; ulimit -n; umask; ls /proc/$$/fd; cat /proc/$PPID/task/$PPID/children"
    second, found = await supervisor_of(spawner, look)
    assert second == first, "a job whose supervisor is another shows nothing here"
    assert found[:-1] == ["none", "1024", "0077", "0", "1", "2"]
    assert len(found[-1].split()) == 1, "it is alone below its supervisor"


async def test_a_supervisor_keeps_no_file_of_its_jobs(start: Start) -> None:
    spawner = start(max_jobs=1)
    (pid,) = tree.descendants(spawner.process.pid)
    await supervisor_of(spawner, ":")

    def files() -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    await wait_for_async(lambda: not spawner.work_folders)
    after_one = files()
    for _ in range(5):
        assert (await supervisor_of(spawner, "sleep 100 & :"))[0] == pid
    await wait_for_async(lambda: files() <= after_one)


async def test_what_was_made_for_many_jobs_at_once_goes_again(start: Start, marker: str) -> None:
    spawner = start()
    tasks = [(await begin(spawner, f"{marker}-{number}"))[0] for number in range(4)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await wait_for_async(lambda: len(tree.descendants(spawner.process.pid)) == 2, 40)


async def test_the_spawner_stays_small(start: Start) -> None:
    spawner = start()
    for _ in range(20):
        await spawner.sandbox.run(Job(("true",)))
    rollup = Path(f"/proc/{spawner.process.pid}/smaps_rollup").read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss < 12 * 1024


async def test_the_all_stops_file_kills_what_runs_and_freeze_does_not(start: Start, marker: str) -> None:
    """Also where whoever asked for the job does nothing: a worker that stands still, or has lost its database."""
    spawner = start()
    task, _ = await begin(spawner, marker)
    file = StopFile(spawner.home)
    file.path.write_text("freeze")
    await asyncio.sleep(1.0)  # nothing must happen: there is no condition to wait for
    assert not task.done()
    began = time.monotonic()
    file.path.write_text("kill")
    outcome = await task
    assert outcome.cancelled
    assert time.monotonic() - began < 1.0
    assert processes_with(marker) == []
    file.remove()
    assert (await spawner.sandbox.run(Job(("true",)))).exit_status == 0
