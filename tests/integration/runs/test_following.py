"""Events of the journal start tasks, each once, whatever else is written between them."""

from typing import Any

from asgiref.sync import sync_to_async

from appliance.events import BoxStarted, RunChanged
from appliance.events.services import record_many_async
from appliance.processes.follow import JournalFollower
from appliance.runs.intake import Intake
from appliance.tasks.arming import load_table
from tests.integration.runs.conftest import Engine

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
