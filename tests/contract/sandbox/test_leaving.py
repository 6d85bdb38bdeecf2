"""A job whose worker stops is asked to end, and its last state is kept."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.lib.leaving import Leaving
from appliance.sandbox.ports import Job, Outcome, Sandbox
from tests.contract.sandbox.test_checkpoints import Kept, kept, shell

__all__ = ["kept", "shell"]
LATE = "trap 'printf late > $file.new; mv $file.new $file; exit 0' TERM; "
FOREVER = "echo ready; while :; do sleep 0.05; done"


async def told(sandbox: Sandbox, job: Job) -> Outcome:
    """The job's end, when its worker says that it leaves as soon as the job has said something."""
    leaving = Leaving()
    return await sandbox.run(replace(job, leaving=leaving), on_output=lambda *_: leaving.say())


async def test_one_that_hears_it_keeps_its_state(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    outcome = await told(sandbox, shell(LATE + FOREVER))
    assert (outcome.stopped, outcome.timed_out, outcome.cancelled) == (True, False, False)
    assert outcome.exit_status == 0
    assert (kept.versions, kept.notes) == ([b"late"], [])


async def test_one_that_does_not_hear_it_is_ended_and_what_was_whole_is_kept(
    sandbox: Sandbox, kept: Kept, shell: Callable[..., Job]
) -> None:
    script = "trap '' TERM; printf whole > $file; sleep 0.6; " + FOREVER
    outcome = await told(sandbox, shell(script))
    assert outcome.stopped
    assert outcome.signal is not None
    assert (kept.versions, kept.notes) == ([b"whole"], [])


async def test_one_that_begins_after_it_was_said_is_told_at_once(
    sandbox: Sandbox, shell: Callable[..., Job]
) -> None:
    leaving = Leaving()
    leaving.say()
    outcome = await sandbox.run(replace(shell("sleep 20"), leaving=leaving))
    assert outcome.stopped


async def test_one_that_ends_by_itself_has_its_own_end(sandbox: Sandbox, shell: Callable[..., Job]) -> None:
    leaving = Leaving()
    outcome = await sandbox.run(replace(shell("exit 3"), leaving=leaving))
    leaving.say()  # nobody is there to hear it
    assert (outcome.exit_status, outcome.stopped) == (3, False)


@pytest.mark.parametrize("what", ["cancelled", "timed out"])
async def test_it_can_still_be_cancelled_and_its_time_limit_still_holds(
    sandbox: Sandbox, shell: Callable[..., Job], what: str
) -> None:
    leaving = Leaving()
    job = replace(shell("trap '' TERM; " + FOREVER), leaving=leaving)
    if what == "timed out":
        outcome = await sandbox.run(replace(shell(FOREVER, timeout=0.5), leaving=leaving))
        assert (outcome.timed_out, outcome.stopped) == (True, False)
        return
    heard = asyncio.Event()
    work = asyncio.create_task(sandbox.run(job, on_output=lambda *_: heard.set()))
    await heard.wait()
    leaving.say()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
