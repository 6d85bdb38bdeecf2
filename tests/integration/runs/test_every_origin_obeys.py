"""What the other areas start obeys the task's overlap as well: a resumed run, a follower, a command by MQTT."""

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.processes.box_commands import Answer, Command, _attempt
from appliance.runs import ended
from appliance.runs.ended import Resume
from appliance.runs.invariants import turns
from appliance.runs.services import NotAdmitted
from tests.integration.runs.conftest import Engine, answering, outcome, task
from tests.integration.runs.test_following import Screens, follower
from tests.integration.runs.test_overlap import ENDED


async def test_who_goes_on_from_a_step_obeys_and_no_run_stands_in_its_own_way(engine: Engine) -> None:
    text = task("    - {id: act, type: shell, args: [/bin/x]}\n", overlap="skip")
    engine.world.working = answering(outcome(1), outcome(), outcome())
    old = await engine.begin(text)
    assert (await engine.perform(old))["state"] == "failed"
    again, before = sync_to_async(ended.resume), await engine.start("t")
    with pytest.raises(NotAdmitted, match=f"run {before} of the same key has not ended"):
        await again(old, BOX, Resume())
    assert await engine.count("runs_run") == 2
    await engine.sql(ENDED, before)
    new = await again(old, BOX, Resume())
    await engine.sql("UPDATE runs_run SET state = 'waiting', waiting_for = 'ambiguous' WHERE id = %s", new)
    newest = await again(new, BOX, Resume())
    assert (await engine.state(new), await engine.state(newest)) == ("cancelled", "queued")


async def test_what_the_end_of_another_task_starts_obeys(engine: Engine) -> None:
    await engine.load("""
- {name: other, trigger: manual, actions: [{type: set, value: 1}]}
- {name: t, trigger: task other, overlap: {policy: queue}, actions: [{type: wait, duration: 1h}]}
""")
    following = await follower(engine, Screens())
    for _ in range(3):
        await engine.perform(await engine.start("other"))
    await following.follow()
    waiting = await engine.sql("SELECT waiting_for FROM runs_run WHERE origin = 'task' ORDER BY id")
    assert [row["waiting_for"] for row in waiting] == ["", "turn", "turn"]


async def test_a_run_whose_place_is_taken_ends_with_what_it_called(engine: Engine) -> None:
    await engine.load("""
- {name: callee, trigger: manual, actions: [{id: pause, type: wait, duration: 1h}]}
- {name: t, trigger: manual, overlap: {policy: cancel_previous}, actions: [{id: call, type: task, task: callee}]}
""")
    first = await engine.start("t")
    await engine.perform(first)
    (child,) = await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", first)
    await engine.perform(child["id"])
    second = await engine.start("t")
    assert [await engine.state(one) for one in (first, child["id"], second)] == [
        "cancelled",
        "cancelled",
        "queued",
    ]
    reason = f"run {first}, which called it, ended: cancelled: run {second} of the same key took its place"
    assert (await engine.run(child["id"]))["reason"] == reason
    assert await engine.steps(child["id"]) == [("pause", 1, "failed")]


async def test_a_shard_whose_turn_has_not_come_is_no_stranded_run(engine: Engine) -> None:
    """It waits in its split; a run that waits in no line at all is queued."""
    shard = await engine.begin(task("    - {type: set, value: 1}\n"))
    alone = await engine.start("t")
    await engine.sql("UPDATE runs_run SET state = 'waiting', waiting_for = 'turn'")
    await engine.sql(
        "UPDATE runs_run SET split_id = id, parent_run_id = %s, shard = 0 WHERE id = %s", alone, shard
    )
    assert [repair.subject for repair in await engine.reconciler.repair(turns)] == [str(alone)]
    assert await engine.state(shard) == "waiting:turn"


async def test_a_command_of_a_machine_obeys_and_its_occurrence_stays(engine: Engine) -> None:
    first = await engine.begin(task("    - {type: wait, duration: 1h}\n", overlap="skip"))
    who = Principal("mqtt:press", Role.OPERATOR)
    command = Command("run", "press", b'{"id": "1", "task": "t"}')
    answered = await sync_to_async(_obey)(command, who, engine)
    assert answered.reply["error"] == {
        "code": "runs.not_admitted",
        "message": f"the task 't' does not run now: run {first} of the same key has not ended",
        "hint": "",
    }
    assert await engine.count("tasks_occurrence WHERE state = 'skipped'") == 1


def _obey(command: Command, who: Principal, engine: Engine) -> Answer:
    with transaction.atomic():
        return _attempt(command, who, engine.clock.now(), "1")
