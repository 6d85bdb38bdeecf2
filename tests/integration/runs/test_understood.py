"""What the gate understood of a command stands in the audit record and with the step; its programs are pinned."""

import json
import os

from appliance.sandbox.errors import JobRefused
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome, task

TOUCH = task('    - {id: make, type: shell, command: "touch /srv/{{ vars.name }}"}\n', vars="{name: x}")
LOOK = task('    - {id: look, type: shell, command: "cat /etc/os-release"}\n')


async def test_the_intent_in_the_audit_says_what_the_command_will_do(engine: Engine) -> None:
    run_id = await engine.begin(TOUCH)
    await engine.perform(run_id)
    (row,) = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = 'step.intent' AND subject = %s", f"{run_id}/make"
    )
    command = json.loads(row["body"])["detail"]["command"]
    assert (command["class"], command["leaves"][0]["argv"]) == ("change", ["touch", "/srv/x"])
    assert command["reasons"]
    assert os.path.realpath("/bin/sh") in command["plan"]["pins"]


async def test_the_step_keeps_the_class_with_or_without_an_intent(engine: Engine) -> None:
    for text, wanted in ((TOUCH, "change"), (LOOK, "read")):
        run_id = await engine.begin(text)
        await engine.perform(run_id)
        (row,) = await engine.sql("SELECT detail FROM runs_step WHERE run_id = %s", run_id)
        assert row["detail"]["command"]["class"] == wanted


async def test_the_job_is_pinned_to_the_programs_that_the_gate_looked_at(engine: Engine) -> None:
    jobs: list[Job] = []

    async def work(job: Job) -> Outcome:
        jobs.append(job)
        return outcome()

    engine.world.working = work
    await engine.perform(await engine.begin(LOOK))
    assert jobs[0].executable == os.path.realpath("/bin/sh")
    assert set(jobs[0].pins) == {os.path.realpath("/bin/sh"), os.path.realpath("/bin/cat")}


async def test_a_program_that_changed_fails_the_step_and_says_which(engine: Engine) -> None:
    async def work(job: Job) -> Outcome:
        raise JobRefused("/usr/bin/cat is not the program that was looked at")

    engine.world.working = work
    row = await engine.perform(await engine.begin(LOOK))
    assert row["state"] == "failed"
    assert "/usr/bin/cat is not the program" in row["reason"]
