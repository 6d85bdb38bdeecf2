"""A client that stands still past the time it waits: what the spawner has said meanwhile counts, not its clock."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from appliance.sandbox.errors import JobLost, JobRefused, SandboxUnavailable
from appliance.sandbox.ports import Job, Outcome
from appliance.sandbox.process import tree, wire
from appliance.sandbox.process.client import ProcessSandbox
from appliance.sandbox.process.conversation import Conversation
from tests.spawner import RunningSpawner
from tests.wait import wait_for, wait_for_async

Start = Callable[..., RunningSpawner]
Loop = Callable[[], asyncio.AbstractEventLoop]
TELLS_AND_WAITS = Job(("/bin/sh", "-c", "touch done; until [ -e go ]; do sleep 0.02; done; echo once"))
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


class Hasty(ProcessSandbox):
    """Gives up long before a machine that stands still goes on."""

    _start_seconds = 0.01


def done(spawner: RunningSpawner) -> list[Path]:
    """The working folder of the job that runs, once it does."""
    return [file.parent for file in spawner.spool.glob("*/done")]


def run_beside(loop: Loop, spawner: RunningSpawner, standstill: Callable[[], None]) -> Outcome:
    """Run the job, and let the loop stand still in ``standstill`` as soon as the request is on its way."""

    async def both() -> Outcome:
        task = asyncio.create_task(Hasty(spawner.socket).run(TELLS_AND_WAITS))
        await asyncio.sleep(0)
        standstill()
        await asyncio.sleep(0.05)
        for folder in done(spawner):
            (folder / "go").touch()
        return await task

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(both())


@LOOPS
def test_the_outcome_that_waits_for_a_client_is_its_outcome(start: Start, loop: Loop) -> None:
    spawner = start()

    def until_all_is_over() -> None:
        (folder,) = wait_for(lambda: done(spawner))
        (folder / "go").touch()
        wait_for(lambda: not spawner.work_folders)

    outcome = run_beside(loop, spawner, until_all_is_over)
    assert (outcome.exit_status, outcome.cancelled, outcome.stdout.text) == (0, False, "once\n")


@LOOPS
def test_a_job_that_began_meanwhile_runs_on(start: Start, loop: Loop) -> None:
    spawner = start()
    outcome = run_beside(loop, spawner, lambda: wait_for(lambda: done(spawner)))
    assert (outcome.exit_status, outcome.cancelled, outcome.stdout.text) == (0, False, "once\n")


async def test_a_job_that_was_given_up_is_never_begun(start: Start, open_folder: Path) -> None:
    spawner = start()
    seen = open_folder / "seen"
    seen.mkdir()
    seen.chmod(0o777)
    supervisors = list(tree.descendants(spawner.process.pid))
    for pid in supervisors:
        os.kill(pid, signal.SIGSTOP)
    job = Job(("/bin/mkdir", str(seen / "it")), writes=(str(seen),))
    with pytest.raises(SandboxUnavailable, match="gave no answer"):
        await Hasty(spawner.socket).run(job)
    for pid in supervisors:
        os.kill(pid, signal.SIGCONT)
    await wait_for_async(lambda: not set(supervisors) <= set(tree.descendants(spawner.process.pid)))
    assert not list(seen.iterdir())
    assert (await spawner.sandbox.run(job)).exit_status == 0
    assert list(seen.iterdir())


async def test_a_start_told_at_the_last_moment_is_not_overheard(tmp_path: Path) -> None:
    """STARTED comes between the end of the patience and the last word: the job may have begun."""
    said: list[bool] = []

    class Late(Conversation):
        def last_word(self) -> tuple[bytes, bytes] | None:
            connection.send(wire.frame(wire.STARTED))
            said.append(True)
            return super().last_word()

    ours, connection = socket.socketpair(socket.AF_UNIX)
    with ours, connection:
        ours.setblocking(False)
        with pytest.raises(JobLost):
            await Hasty(tmp_path)._follow(Late(ours), Job(("true",)), None)
        assert said
        with pytest.raises(BrokenPipeError):
            connection.send(b"more")


@pytest.mark.parametrize(
    ("said", "becomes"),
    [(wire.UNAVAILABLE, JobLost), (b"?", JobLost), (wire.REFUSED, JobRefused)],
    ids=["away", "unknown", "refused"],
)
async def test_a_sandbox_that_goes_away_behind_the_start_may_have_run_the_job(
    tmp_path: Path, said: bytes, becomes: type[Exception]
) -> None:
    ours, connection = socket.socketpair(socket.AF_UNIX)
    with ours, connection:
        ours.setblocking(False)
        answer = b'{"message": "the engine went away", "hint": ""}'
        connection.send(wire.frame(wire.STARTED) + wire.frame(said, answer))
        with pytest.raises(becomes):
            await Hasty(tmp_path)._follow(Conversation(ours), Job(("true",)), None)
