"""One stage after another, each once, and at the end the box says that nobody has answered."""

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.database import address
from tests.integration.escalations.conftest import Shift
from tests.wait import wait_for_async

ROOT = Path(__file__).resolve().parents[3]


async def test_stages_are_told_one_after_another_until_it_is_exhausted(shift: Shift) -> None:
    await shift.open()
    await shift.later(seconds=599)
    assert await shift.told() == ["telegram/1"]
    await shift.later(seconds=1)
    assert await shift.told() == ["telegram/1", "telegram/2"]
    await shift.later(seconds=299)
    assert len(await shift.told()) == 2
    await shift.later(seconds=1)
    assert await shift.told() == ["telegram/1", "telegram/2", "slack/C3", "telegram/4"]
    await shift.later(seconds=120)
    row = await shift.row()
    assert (row["state"], row["next_at"], row["stage"]) == ("exhausted", None, 2)
    await shift.later(days=1)
    assert len(await shift.told()) == 4
    assert await shift.events() == [
        "escalation.opened",
        "escalation.told",
        "escalation.told",
        "escalation.exhausted",
    ]
    kinds = await shift.sql("SELECT kind FROM audit_record WHERE kind LIKE 'escalation.%%' ORDER BY seq")
    assert [one["kind"] for one in kinds][-3:] == [
        "escalation.told",
        "escalation.told",
        "escalation.exhausted",
    ]


async def test_a_later_message_says_why_and_how_to_answer(shift: Shift) -> None:
    new = await shift.open()
    await shift.later(minutes=10)
    rows = await shift.sql("SELECT message, about, priority FROM outbox_item WHERE conversation = '2'")
    message = rows[0]["message"]
    assert message["text"].split("\n") == [
        "Nobody has acknowledged this for 10m:",
        "pump 7 is hot",
        "at 91 C",
        f"To acknowledge, write: ack {new.code}",
    ]
    assert message["buttons"] == [{"label": "Acknowledge", "data": f"ack {new.code}"}]
    assert (rows[0]["about"], rows[0]["priority"]) == ("", 15)


async def test_opened_twice_by_a_repeated_step_it_is_one(shift: Shift) -> None:
    new = await shift.open()
    again = await shift.open()
    assert (new.id, new.code) == (again.id, again.code)
    assert await shift.events() == ["escalation.opened"]


async def test_two_processes_that_look_at_once_tell_a_stage_once(shift: Shift) -> None:
    await shift.open()
    shift.clock.advance(timedelta(minutes=10))
    await asyncio.gather(*(shift.another().tick() for _ in range(4)))
    assert await shift.told() == ["telegram/1", "telegram/2"]


async def test_after_hours_without_the_process_each_stage_still_has_its_time(shift: Shift) -> None:
    await shift.open()
    await shift.later(hours=5)
    await shift.later(seconds=1)
    assert await shift.told() == ["telegram/1", "telegram/2"]
    await shift.later(seconds=300)
    assert len(await shift.told()) == 4


async def test_a_clock_that_is_set_back_delays_by_no_more_than_the_stage(shift: Shift) -> None:
    await shift.open()
    await shift.later(minutes=5)
    await shift.later(days=-3)
    await shift.later(seconds=599)
    assert await shift.told() == ["telegram/1"]
    await shift.later(seconds=1)
    assert await shift.told() == ["telegram/1", "telegram/2"]


async def test_one_that_cannot_be_told_keeps_no_other_from_it(shift: Shift) -> None:
    await shift.open("broken")
    await shift.open("fine")
    await shift.sql(
        "UPDATE escalations_escalation SET stages = jsonb_set(stages, '{0,to}', '[\"role:nobody\"]') WHERE title = %s",
        "broken",
    )
    await shift.later(minutes=10)
    assert await shift.told() == ["telegram/1", "telegram/1", "telegram/2"]


_TICK = """
import asyncio, os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "webadmin.settings"
import django
django.setup()
from datetime import datetime
from psycopg_pool import AsyncConnectionPool
from appliance.escalations.escalating import Escalator
from appliance.lib.clock import ManualClock

async def main():
    pool = AsyncConnectionPool(sys.argv[1], min_size=1, kwargs={"autocommit": True}, open=False)
    await pool.open()
    clock = ManualClock(datetime.fromisoformat(sys.argv[2]))
    # The browsers are poked after the commit.
    await Escalator(pool, clock, lambda: os.kill(os.getpid(), 9)).tick()

asyncio.run(main())
"""
_HELD_UP = """
SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%events_event%%'
"""


async def process(shift: Shift) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _TICK,
        address(),
        shift.clock.now().isoformat(),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )


async def test_killed_before_or_after_its_commit_it_tells_a_stage_once(shift: Shift) -> None:
    """It dies with the messages written, and another life after the commit: neither forgets nor repeats."""
    await shift.open()
    shift.clock.advance(timedelta(minutes=10))
    async with shift.pool.connection() as db, db.transaction():
        await db.execute("LOCK TABLE events_event IN ACCESS EXCLUSIVE MODE")
        dying = await process(shift)
        await wait_for_async(lambda: shift.sql(_HELD_UP), timeout=60)
        dying.send_signal(signal.SIGKILL)
        await dying.wait()
    assert await shift.told() == ["telegram/1"]
    assert await (await process(shift)).wait() == -signal.SIGKILL
    assert await shift.told() == ["telegram/1", "telegram/2"]
    await shift.escalator.tick()
    assert await shift.told() == ["telegram/1", "telegram/2"]
