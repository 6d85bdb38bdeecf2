"""Containers under the kernel's rules: on the control group that the engine made for them."""

import asyncio
import contextlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.sandbox.docker.client import Where
from appliance.sandbox.ebpf import libbpf, mounts, tables
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Declared, Job
from appliance.sandbox.process.client import ProcessSandbox
from tests.container_engine import PrivateEngine
from tests.guard import RunningGuard, start_guard
from tests.integration.sandbox.docker.conftest import Inside
from tests.kernel_rules import need_rules
from tests.wait import wait_for_async


@pytest.fixture(autouse=True)
def _possible() -> None:
    need_rules()


def sandbox_of(guard: RunningGuard, *, required: bool = False) -> WatchedSandbox:
    return WatchedSandbox(
        guard.home.guard_socket, ProcessSandbox(Path("/nowhere")), Manner(required=required)
    )


async def test_a_container_reaches_what_its_step_declares_and_what_it_did_is_recorded(
    inside: Inside, container_engine: PrivateEngine
) -> None:
    sandbox, where = sandbox_of(inside.guard), Where(container_engine.image)
    job = Job(
        argv=("/bin/sh", "-c", "/bin/ls /; /bin/nc -w 1 127.0.0.1 7007 </dev/null; /bin/ping -c 1 127.0.0.1")
    )
    denied = await sandbox.run_contained(replace(job, declared=Declared((), ("ls",))), where, None)
    assert denied.watched
    assert denied.watched.reason == ""
    assert "reached for 127.0.0.1:7007 (tcp): denied" in denied.watched.findings
    assert "executed /bin/nc" in denied.watched.findings
    assert "executed /bin/ls" not in denied.watched.findings
    allowed = await sandbox.run_contained(replace(job, declared=Declared(("127.0.0.1",))), where, None)
    assert allowed.watched
    assert allowed.watched.observed
    assert not any(one.denied for one in allowed.watched.observed.contacts)


async def test_a_container_that_was_made_ahead_has_its_job_s_rules_from_the_beginning(
    inside: Inside, container_engine: PrivateEngine
) -> None:
    sandbox, where = sandbox_of(inside.guard), Where(container_engine.image)
    job = Job(argv=("/bin/nc", "-w", "1", "127.0.0.1", "7007"), declared=Declared(()))
    for _ in range(3):
        outcome = await sandbox.run_contained(job, where, None)
        assert outcome.watched
        assert outcome.watched.findings == ("reached for 127.0.0.1:7007 (tcp): denied",)


async def test_without_the_rules_a_container_says_so_or_does_not_run(
    open_folder: Path, container_engine: PrivateEngine
) -> None:
    folder = open_folder / "off"
    folder.mkdir(exist_ok=True)
    guard = start_guard(folder, container_engine, MILLWRIGHT_KERNEL_RULES="off")
    try:
        job, where = Job(argv=("true",), declared=Declared(())), Where(container_engine.image)
        outcome = await sandbox_of(guard).run_contained(job, where, None)
        assert outcome.watched
        assert outcome.watched.reason == "MILLWRIGHT_KERNEL_RULES is off"
        with pytest.raises(SandboxUnavailable, match="cannot be enforced"):
            await sandbox_of(guard, required=True).run_contained(job, where, None)
    finally:
        guard.stop()


async def test_a_container_that_runs_and_a_new_one_lose_their_network_while_egress_is_cut(
    inside: Inside, container_engine: PrivateEngine
) -> None:
    """By the table that guard sets when the all-stop says so: a stop would end the container moments later."""
    sandbox, where = sandbox_of(inside.guard), Where(container_engine.image)
    heard: list[bytes] = []
    script = "while :; do /bin/nc -w 1 127.0.0.1 7007 </dev/null 2>&1; sleep 0.05; done"
    job = Job(argv=("/bin/sh", "-c", script), declared=Declared(("127.0.0.1",)))
    running = asyncio.create_task(
        sandbox.run_contained(job, where, lambda _, data: heard.append(data.lower()))
    )
    try:
        await wait_for_async(lambda: b"refused" in b"".join(heard), 30)
        set_cut(inside.guard, True)
        heard.clear()
        await wait_for_async(lambda: b"not permitted" in b"".join(heard), 30)
        once = Job(argv=("/bin/nc", "-w", "1", "127.0.0.1", "7007"), declared=Declared(("127.0.0.1",)))
        new = await sandbox.run_contained(once, where, None)
        assert "not permitted" in new.stderr.text.lower()
        assert new.watched
        assert new.watched.findings == ()  # where it may go it is not amber for
        set_cut(inside.guard, False)
        heard.clear()
        await wait_for_async(lambda: b"refused" in b"".join(heard), 30)
    finally:
        set_cut(inside.guard, False)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def set_cut(guard: RunningGuard, cut: bool) -> None:
    pin = mounts.bpffs() / f"millwright-{guard.home.id}" / "stop"
    table = libbpf._library().bpf_obj_get(os.fsencode(pin))
    assert table >= 0
    libbpf.put(table, tables.SWITCH, tables.stop(cut))
    os.close(table)
