"""Start, stop and violent ends of guard and of those who ask it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.lib.config import ROOT
from appliance.safety.stop import StopFile
from appliance.sandbox.errors import JobLost, SandboxUnavailable
from appliance.sandbox.ports import Job, Outcome
from tests.container_engine import PrivateEngine
from tests.guard import RunningGuard, start_guard
from tests.spawner import processes_with
from tests.wait import wait_for_async

LOOP = 'sh -c \'trap "" TERM HUP INT; while :; do sleep 1; done\' "$1"'
STUBBORN = f"trap '' TERM HUP INT; setsid {LOOP} & echo on; wait"
Start = Callable[..., RunningGuard]


@pytest.fixture
def start(container_engine: PrivateEngine, tmp_path: Path) -> Iterator[Start]:
    """Start guards of one's own, to be mistreated. All share one home."""
    started: list[RunningGuard] = []

    def begin(**settings: str) -> RunningGuard:
        started.append(start_guard(tmp_path, container_engine, **settings))
        return started[-1]

    yield begin
    for guard in started:
        guard.stop()
    assert started[-1].containers() == []


async def begin(guard: RunningGuard, marker: str, run: str = "") -> asyncio.Task[Outcome]:
    """Have a job run that clings to life."""
    seen: list[bytes] = []
    job = Job(("/bin/sh", "-c", STUBBORN, "mw", marker), timeout=60)
    task = asyncio.create_task(guard.sandbox(run=run).run(job, on_output=lambda _, data: seen.append(data)))
    await wait_for_async(lambda: seen and processes_with(marker), 30)
    return task


async def test_a_killed_guard_loses_its_job_and_the_next_one_ends_what_is_left(
    start: Start, marker: str
) -> None:
    guard = start()
    task = await begin(guard, marker)
    guard.kill()
    with pytest.raises(JobLost):
        await task
    left = {row["Id"] for row in guard.containers()}
    assert left
    with pytest.raises(SandboxUnavailable):
        await guard.sandbox().run(Job(("true",)))
    successor = start()
    await wait_for_async(lambda: not left & {row["Id"] for row in successor.containers()}, 30)
    assert processes_with(marker) == []
    assert (await successor.sandbox().run(Job(("true",)))).exit_status == 0


async def test_a_client_that_is_killed_ends_its_job(start: Start, marker: str) -> None:
    guard = start(MILLWRIGHT_CONTAINER_POOL="0")
    program = (
        "import asyncio, sys; from pathlib import Path; from appliance.sandbox.ports import Job;"
        "from appliance.sandbox.docker.client import DockerSandbox, Where;"
        "job = Job(('/bin/sh', '-c', sys.argv[3], 'mw', sys.argv[4]));"
        "asyncio.run(DockerSandbox(Path(sys.argv[1]), Where(sys.argv[2])).run(job))"
    )
    argv = [sys.executable, "-c", program, str(guard.home.guard_socket), guard.engine.image, STUBBORN, marker]
    client = subprocess.Popen(argv, cwd=ROOT)
    await wait_for_async(lambda: len(processes_with(marker)) >= 3, 30)
    client.kill()
    client.wait()
    await wait_for_async(lambda: not processes_with(marker) and not guard.containers(), 30)


async def test_stopping_guard_ends_every_job_and_leaves_nothing(start: Start, marker: str) -> None:
    guard = start()
    task = await begin(guard, marker)
    guard.process.terminate()
    assert (await task).cancelled
    assert processes_with(marker) == []
    assert await asyncio.to_thread(guard.process.wait, 40) == 0
    assert guard.containers() == []
    assert not guard.home.guard_socket.exists()


async def test_a_run_is_cancelled_by_its_number_and_no_other(start: Start, marker: str) -> None:
    guard = start()
    one, two = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
    first, second = await begin(guard, f"{marker}-a", one), await begin(guard, f"{marker}-b", two)
    assert await guard.client.ask("cancel", run=one) == {"cancelled": 1}
    assert (await first).cancelled
    assert processes_with(f"{marker}-a") == []
    assert processes_with(f"{marker}-b")
    assert await guard.client.ask("cancel") == {"cancelled": 1}
    assert (await second).cancelled


async def test_containers_of_another_home_are_left_alone(start: Start, marker: str, tmp_path: Path) -> None:
    guard = start()
    (tmp_path / "other").mkdir()
    other = start_guard(tmp_path / "other", guard.engine)
    try:
        task = await begin(other, marker)
        await guard.client.ask("cleanup")
        assert processes_with(marker)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        other.stop()


async def test_a_second_guard_for_the_same_home_is_refused(
    start: Start, container_engine: PrivateEngine
) -> None:
    guard = start()
    environment = {
        "PATH": os.environ["PATH"],
        "MILLWRIGHT_HOME": str(guard.home.path),
        "MILLWRIGHT_CONTAINER_ENGINE": container_engine.url,
    }
    argv = [sys.executable, str(ROOT / "manage.py"), "guard"]
    done = await asyncio.to_thread(subprocess.run, argv, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"another guard serves" in done.stderr
    assert (await guard.sandbox().run(Job(("true",)))).exit_status == 0


async def test_the_pool_makes_one_ahead_for_what_is_in_use_and_each_serves_once(start: Start) -> None:
    guard = start()
    names = set()
    for _ in range(3):
        outcome = await guard.sandbox().run(Job(("hostname",)))
        names.add(outcome.stdout.text)

        async def ready() -> bool:
            return (await guard.client.ask("probe"))["ready"] == 1 and len(guard.containers()) == 1

        await wait_for_async(ready, 30)
    assert len(names) == 3
    answer = await guard.client.ask("probe")
    assert (answer["healthy"], answer["running"]) == (True, 0)


async def test_what_nobody_wants_any_more_is_taken_away(start: Start) -> None:
    guard = start(MILLWRIGHT_CONTAINER_IDLE="1")
    await guard.sandbox().run(Job(("true",)))
    await wait_for_async(lambda: not guard.containers(), 30)


async def test_a_pooled_container_that_died_is_not_used(start: Start) -> None:
    guard = start()
    await guard.sandbox().run(Job(("true",)))
    while (await guard.client.ask("list"))["ready"] != 1:
        await asyncio.sleep(0.05)
    await wait_for_async(lambda: len(guard.containers()) == 1, 30)  # the first one is gone too
    with guard.engine.client() as client:
        client.kill(str(guard.containers()[0]["Id"]), signal.SIGKILL.value)
    assert (await guard.sandbox().run(Job(("true",)))).exit_status == 0


async def test_the_all_stops_file_kills_what_runs_and_leaves_what_waits(start: Start, marker: str) -> None:
    guard = start()
    task = await begin(guard, marker)
    await wait_for_async(lambda: len(guard.containers()) >= 2, 30, "one is made ahead")
    file = StopFile(guard.home.path)
    began = time.monotonic()
    file.path.write_text("kill")
    assert (await task).cancelled
    assert time.monotonic() - began < 1.0
    assert processes_with(marker) == []
    assert guard.containers(), "the one that waits has run nothing"
    file.remove()
    assert (await guard.sandbox().run(Job(("true",)))).exit_status == 0
