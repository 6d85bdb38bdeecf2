"""A client that stands still past the time it waits for a container: guard's answer still counts."""

import asyncio

from appliance.sandbox.docker.client import DockerSandbox, Where
from appliance.sandbox.ports import Job
from tests.integration.sandbox.docker.conftest import Inside
from tests.spawner import processes_with
from tests.wait import wait_for


class Hasty(DockerSandbox):
    """Gives up long before a machine that stands still goes on."""

    _start_seconds = 0.01


async def test_a_container_that_ran_meanwhile_is_no_container_that_did_not(
    inside: Inside, marker: str
) -> None:
    done, go = inside.writable / f"{marker}-done", inside.writable / f"{marker}-go"
    script = f"touch {done}; until [ -e {go} ]; do sleep 0.02; done; echo once"
    job = Job(("/bin/sh", "-c", script), writes=(str(inside.writable),))
    task = asyncio.create_task(
        Hasty(inside.guard.home.guard_socket, Where(inside.guard.engine.image)).run(job)
    )
    await asyncio.sleep(0)
    wait_for(done.exists, 60)
    go.touch()
    wait_for(lambda: not processes_with(marker))
    outcome = await task
    assert (outcome.exit_status, outcome.cancelled, outcome.stdout.text) == (0, False, "once\n")
