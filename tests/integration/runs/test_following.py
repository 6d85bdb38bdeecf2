"""Events of the journal start tasks, each once, whatever else is written between them."""

from typing import Any

from asgiref.sync import sync_to_async

from appliance.events import BoxStarted, RunChanged
from appliance.events.services import record_many_async
from appliance.processes.follow import JournalFollower
from appliance.runs.intake import LONGEST_CHAIN, Intake
from appliance.sandbox.ports import Job, Outcome
from appliance.tasks.arming import load_table
from tests.integration.runs.conftest import Engine, outcome

LISTEN = """
- name: after_failure
  triggers: [{id: e, event: run.failed}]
  actions: [{type: set, value: 1}]
- name: at_start
  triggers: [{id: e, event: box.started}]
  actions: [{type: set, value: 1}]
"""


class Screens:
    poked = 0

    def poke(self) -> None:
        self.poked += 1


async def follower(engine: Engine, screens: Screens) -> JournalFollower:
    await engine.sql("DELETE FROM processes_follower")
    intake = Intake(engine.pool, engine.clock, lambda run_ids: None)
    intake.table = await sync_to_async(load_table)()
    made = JournalFollower(engine.pool, intake, lambda run_ids: None, screens)
    await made.follow()
    return made


def ended(number: int, state: str) -> RunChanged:
    return RunChanged(run_id=f"00000000-0000-7000-8000-{number:012d}", task="other", state=state)


async def write(engine: Engine, *events: Any) -> None:
    async with engine.pool.connection() as connection:
        await record_many_async(connection, events)


async def runs(engine: Engine) -> list[str]:
    rows = await engine.sql("SELECT trigger, principal FROM runs_run ORDER BY principal")
    return [row["principal"] for row in rows]


async def test_each_event_starts_its_task_once(engine: Engine) -> None:
    await engine.load(LISTEN)
    following = await follower(engine, Screens())
    others = [ended(n, "succeeded") for n in range(1200)]
    await write(engine, *others[:700], ended(2000, "failed"), *others[700:], BoxStarted(version="1"))
    await following.follow()
    await following.follow()
    assert await runs(engine) == ["trigger:after_failure/e", "trigger:at_start/e"]


async def test_more_events_than_a_page_are_all_taken(engine: Engine) -> None:
    await engine.load(LISTEN)
    following = await follower(engine, Screens())
    await write(engine, *(ended(n, "failed") for n in range(1100)))
    await following.follow()
    assert await engine.count("runs_run") == 1100


async def test_screens_are_told_of_everything_and_a_quiet_journal_writes_nothing(engine: Engine) -> None:
    await engine.load(LISTEN)
    screens = Screens()
    following = await follower(engine, screens)
    before = screens.poked
    await write(engine, ended(1, "succeeded"))
    await following.follow()
    assert screens.poked == before + 1
    (position,) = await engine.sql("SELECT position FROM processes_follower")
    await following.follow()
    assert screens.poked == before + 1
    assert await engine.sql("SELECT position FROM processes_follower") == [position]


CHAIN = """
- name: other
  actions: [{type: set, value: 1}]
- name: after_other
  triggers:
    - {id: done, task: other}
    - {id: bad, task: {name: other, state: failed}, when: "{{ event.run_id != '' }}"}
  actions: [{type: set, value: 1}]
- name: elsewhere
  triggers: [{id: x, task: after_other}]
  actions: [{type: set, value: 1}]
"""


async def test_the_end_of_a_run_starts_the_task_that_follows_it_once(engine: Engine) -> None:
    await engine.load(CHAIN)
    following = await follower(engine, Screens())
    run_id = await engine.start("other")
    await engine.perform(run_id)
    await following.follow()
    await following.follow()
    (row,) = await engine.sql("SELECT * FROM runs_run WHERE id <> %s", run_id)
    assert (row["principal"], row["origin"]) == ("trigger:after_other/done", "task")
    assert row["inputs"]["event"]["run_id"] == str(run_id)
    assert row["inputs"]["chain"] == 1


async def test_each_end_counts_by_its_name(engine: Engine) -> None:
    await engine.load(CHAIN)
    following = await follower(engine, Screens())
    await write(engine, ended(1, "failed"), ended(2, "cancelled"), ended(3, "succeeded"))
    await following.follow()
    rows = await engine.sql("SELECT trigger FROM runs_run ORDER BY trigger")
    assert [row["trigger"] for row in rows] == ["bad", "done"]


async def test_a_run_that_ends_a_second_time_as_it_is_undone_starts_nothing_again(engine: Engine) -> None:
    await engine.load(CHAIN)
    following = await follower(engine, Screens())
    await write(engine, ended(1, "failed"))
    await following.follow()
    await write(engine, ended(1, "failed"), ended(1, "undone"))
    await following.follow()
    assert await engine.count("runs_run") == 1
    assert await engine.count("tasks_occurrence") == 1


async def test_a_chain_that_never_ends_is_cut(engine: Engine) -> None:
    await engine.load(
        "- name: t\n  triggers: [{id: again, task: {name: t, state: failed}}]\n"
        "  actions: [{type: shell, args: [x]}]\n"
    )
    following = await follower(engine, Screens())

    async def failing(job: Job) -> Outcome:
        return outcome(1)

    engine.world.working = failing
    run_ids = [await engine.start("t")]
    while run_ids:
        await engine.perform(run_ids[-1])
        await following.follow()
        rows = await engine.sql("SELECT id FROM runs_run WHERE state = 'queued'")
        run_ids = [row["id"] for row in rows]
    assert await engine.count("runs_run") == LONGEST_CHAIN + 1
