"""A step that did what its author did not declare: amber, on record, told, and its task held where settings say so."""

from dataclasses import replace
from functools import partial

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.processes.quarantine import quarantine
from appliance.runs.services import NotAdmitted, start_again, start_task
from appliance.sandbox.ebpf.record import Executed, Observed
from appliance.sandbox.ebpf.watched import Watched
from appliance.sandbox.findings import MOST_WORDS, amber, of_run
from appliance.sandbox.ports import Declared
from appliance.tasks.services import find, set_enabled
from tests.integration.runs.conftest import Engine, answering, outcome, task

RECORD = Observed(executed=(Executed(path="/bin/sh", count=1),))
DID = "reached for 192.0.2.1:80 (tcp): denied"
TASK = task("    - {id: act, type: shell, command: id, network: [plc.lan:502], programs: [id]}\n")


def watched(*findings: str) -> Watched:
    return Watched(RECORD, findings=findings)


def playing(engine: Engine, *of_each: Watched | None, exit_status: int = 0) -> None:
    """Each job ends like this."""
    engine.world.working = answering(*(replace(outcome(exit_status), watched=one) for one in of_each))


async def test_what_a_step_declares_goes_with_its_job(engine: Engine) -> None:
    playing(engine, None)
    await engine.perform(await engine.begin(TASK))
    (job,) = engine.world.given
    assert job.declared == Declared(("plc.lan:502",), ("id",))
    for text, declared in (("none", ()), ("[]", ()), ("any", ("any",)), ("10.0.0.0/8", ("10.0.0.0/8",))):
        playing(engine, None)
        await engine.perform(
            await engine.begin(task(f"    - {{type: shell, command: id, network: {text}}}\n"))
        )
        assert engine.world.given[-1].declared == Declared(declared, None)


async def test_the_record_goes_with_the_step_and_a_run_that_kept_to_it_is_not_amber(engine: Engine) -> None:
    playing(engine, watched())
    run_id = await engine.begin(TASK)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    (step,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s", run_id)
    assert step["detail"]["observed"]["executed"] == [{"path": "/bin/sh", "count": 1}]
    assert await sync_to_async(amber)([run_id]) == set()


@pytest.mark.parametrize(("exit_status", "state"), [(0, "succeeded"), (1, "failed")])
async def test_what_was_not_declared_is_on_record_in_the_audit_and_in_an_alert(
    engine: Engine, exit_status: int, state: str
) -> None:
    playing(engine, watched(DID), exit_status=exit_status)
    run_id = await engine.begin(TASK)
    assert (await engine.perform(run_id))["state"] == state
    (found,) = await sync_to_async(of_run)(run_id)
    assert (found.step, found.attempt, found.words) == ("act", 1, [DID])
    assert await sync_to_async(amber)([run_id]) == {run_id}
    (entry,) = await engine.sql(
        "SELECT body::jsonb -> 'detail' AS detail FROM audit_record WHERE kind = 'step.undeclared' AND subject = %s",
        f"{run_id}/act",
    )
    assert entry["detail"]["did"] == [DID]
    (alert,) = await engine.sql("SELECT data FROM events_event WHERE type = 'audit.alert'")
    assert (alert["data"]["rule"], alert["data"]["message"]) == ("run.undeclared", f"t, step act: {DID}")


async def test_what_is_said_of_one_step_is_bounded(engine: Engine) -> None:
    playing(engine, watched(*(f"executed /bin/{n}" for n in range(MOST_WORDS + 7))))
    run_id = await engine.begin(TASK)
    await engine.perform(run_id)
    (found,) = await sync_to_async(of_run)(run_id)
    assert len(found.words) == MOST_WORDS + 1
    assert found.words[-1] == "and 7 more"


async def test_a_task_is_held_once_for_what_its_present_version_did(engine: Engine) -> None:
    playing(engine, watched(DID), watched(DID))
    await engine.perform(await engine.begin(TASK))
    assert await sync_to_async(quarantine)(True, engine.clock.now()) == ["t"]
    assert not (await sync_to_async(find)("t")).enabled
    (held,) = await engine.sql(
        "SELECT body::jsonb -> 'detail' AS detail FROM audit_record WHERE kind = 'task.held' ORDER BY seq DESC LIMIT 1"
    )
    assert held["detail"]["did"] == [DID]
    assert await sync_to_async(quarantine)(True, engine.clock.now()) == []


async def test_no_start_gets_past_a_task_that_is_held(engine: Engine) -> None:
    """Neither of a person, of a run again, nor of a calling task; switched on again it runs."""
    playing(engine, watched(DID), None)
    first = await engine.begin(TASK)
    await engine.perform(first)
    await sync_to_async(quarantine)(True, engine.clock.now())
    for start in (partial(start_task, "t"), partial(start_again, first)):
        with pytest.raises(NotAdmitted, match="it is held"):
            await sync_to_async(start)(BOX, engine.clock.now())
    await engine.load("- {name: parent, trigger: manual, actions: [{id: c, type: task, task: t}]}\n")
    row = await engine.perform(await engine.start("parent"))
    assert row["state"] == "failed"
    assert "task t does not run now: it is held" in row["reason"]
    assert await engine.sql("SELECT id FROM runs_run WHERE origin = 'task'") == []
    await sync_to_async(set_enabled)("t", True, BOX, engine.clock.now())
    assert (await engine.perform(await engine.start("t")))["state"] == "succeeded"


async def test_a_task_that_was_switched_off_already_is_held_too(engine: Engine) -> None:
    playing(engine, watched(DID))
    await engine.load(TASK)
    await sync_to_async(set_enabled)("t", False, BOX, engine.clock.now())
    await engine.perform(await engine.start("t"))
    assert await sync_to_async(quarantine)(True, engine.clock.now()) == ["t"]
    assert (await sync_to_async(find)("t")).held


async def test_a_version_that_is_no_longer_the_present_one_holds_nobody(engine: Engine) -> None:
    playing(engine, watched(DID))
    await engine.perform(await engine.begin(TASK))
    await engine.load(TASK.replace("502", "503"))
    assert await sync_to_async(quarantine)(True, engine.clock.now()) == []
    assert (await sync_to_async(find)("t")).enabled


async def test_without_the_setting_a_finding_holds_nobody_now_or_later(engine: Engine) -> None:
    playing(engine, watched(DID))
    await engine.perform(await engine.begin(TASK))
    assert await sync_to_async(quarantine)(False, engine.clock.now()) == []
    assert await sync_to_async(quarantine)(True, engine.clock.now()) == []
    assert (await sync_to_async(find)("t")).enabled
