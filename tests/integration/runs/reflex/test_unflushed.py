"""The crash-safe mode: a run acts before the disk has its intent, and nothing is lost when PostgreSQL is killed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.errors import DuplicatePreparedStatement
from psycopg_pool import AsyncConnectionPool

from appliance.runs.reflex import sql
from appliance.runs.reflex.unflushed import Unflushed
from appliance.runs.reflex.writer import GroupWriter
from tests.database import address
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, Reactor, letter
from tests.integration.runs.reflex.test_reflex_lane import ECHO
from tests.wait import wait_for_async

KINDS = ("tasks_occurrence", "runs_run", "runs_step", "events_event WHERE type = 'run.changed'")
STEPS = 3
"""Of each run."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Writes while it is set."""
    turns = asyncio.Event()
    turns.set()
    whole = Unflushed._flush

    async def waits(self: Unflushed) -> bool:
        await turns.wait()
        return await whole(self)

    monkeypatch.setattr(Unflushed, "_flush", waits)
    return turns


@pytest.fixture
async def here(reactor: MakeReactor) -> Reactor:
    return await reactor(ECHO, acts_after_disk=False)


async def lose(engine: Engine, since: int) -> None:
    """As PostgreSQL is when it has started anew from a disk that ends at commit ``since``."""
    for table in ("tasks_occurrence", "runs_run", "runs_step", "events_event"):
        await engine.sql(f"DELETE FROM {table} RETURNING 1")
    await engine.sql("UPDATE runs_reflex SET commit_number = %s RETURNING 1", since)


async def reached(engine: Engine) -> int:
    (row,) = await engine.sql("SELECT commit_number FROM runs_reflex")
    return int(row["commit_number"])


async def test_it_acts_at_once_and_acknowledges_when_the_disk_has_it(
    here: Reactor, engine: Engine, disk: asyncio.Event
) -> None:
    disk.clear()
    event = letter("in/a", {"value": 80, "n": 7})
    await here.deliver(event)
    await here.settle()
    assert len(engine.world.published) == 1
    assert await engine.count("runs_run") == 1
    assert not event.acked
    disk.set()
    await wait_for_async(lambda: event.acked, 5, "the disk has it")


async def test_the_lane_does_not_wait_for_the_disk_and_its_flush_does(here: Reactor, engine: Engine) -> None:
    await here.deliver(letter("in/a", {"value": 80, "n": 7}))
    await here.settle()  # the lane asks nothing more on its connection, which two may not use at once
    connection = here.lane._writer._connection
    assert connection is not None
    row = await (await connection.execute("SHOW synchronous_commit")).fetchone()
    assert row == ("off",)
    async with engine.pool.connection() as other:
        assert await (await other.execute("SHOW synchronous_commit")).fetchone() == ("on",)
        before = await (await other.execute("SELECT pg_current_wal_insert_lsn()::text")).fetchone()
        await other.execute(sql.FLUSH)
        flushed = await other.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", before)
        assert await flushed.fetchone() == (True,)


async def test_a_connection_that_cannot_be_made_ready_is_nobody_elses(engine: Engine) -> None:
    """It does not wait for the disk any more when its statement turns out not to be taken."""
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=1, kwargs={"autocommit": True}, open=False
    ) as narrow:
        async with narrow.connection() as connection:
            await connection.execute(sql.PREPARE_COMMIT)  # there is one of that name already
        with pytest.raises(DuplicatePreparedStatement):
            await GroupWriter(narrow, Unflushed(narrow))._connected()
        async with narrow.connection() as connection:
            for setting in ("synchronous_commit", "enable_seqscan"):
                assert await (await connection.execute(f"SHOW {setting}")).fetchone() == ("on",)


async def test_a_box_that_waits_for_the_disk_acknowledges_after_its_commit(reactor: MakeReactor) -> None:
    life = await reactor(ECHO)
    event = letter("in/a", {"value": 80, "n": 7})
    await life.deliver(event)
    assert event.acked


async def test_what_the_database_loses_is_written_again_by_the_next_commit(
    here: Reactor, engine: Engine, disk: asyncio.Event
) -> None:
    await here.deliver(letter("in/a", {"value": 80, "n": 1}))
    await here.settle()
    since = await reached(engine)
    disk.clear()
    await asyncio.sleep(0.05)
    await _drain(here)
    await here.deliver(letter("in/b", {"value": 80, "n": 2}))
    await here.settle()
    runs = {row["id"] for row in await engine.sql("SELECT id FROM runs_run")}
    await lose(engine, since)
    await here.deliver(letter("in/c", {"value": 80, "n": 3}))
    await here.settle()
    again = {row["id"] for row in await engine.sql("SELECT id FROM runs_run")}
    assert len(again & runs) >= 1
    assert [await engine.count(kind) for kind in KINDS] == [2, 2, 2 * STEPS, 2]
    assert len(engine.world.published) == 3, "nothing acts a second time"


async def _drain(here: Reactor) -> None:
    """All so far counts as being on the disk."""
    unflushed = here.lane._unflushed
    assert unflushed is not None
    unflushed._reached(unflushed._latest)


async def test_the_flush_itself_notices_a_loss_on_an_idle_box(
    here: Reactor, engine: Engine, disk: asyncio.Event
) -> None:
    since = await reached(engine)
    disk.clear()
    event = letter("in/a", {"value": 80, "n": 1})
    await here.deliver(event)
    await here.settle()
    await lose(engine, since)
    disk.set()
    await wait_for_async(lambda: event.acked, 5, "it is on the disk after all")
    assert [await engine.count(kind) for kind in KINDS] == [1, 1, STEPS, 1]


async def test_a_taken_over_lane_writes_nothing_again(
    here: Reactor, reactor: MakeReactor, engine: Engine, disk: asyncio.Event
) -> None:
    since = await reached(engine)
    disk.clear()
    event = letter("in/a", {"value": 80, "n": 1})
    await here.deliver(event)
    await here.settle()
    await lose(engine, since)
    await reactor(acts_after_disk=False)
    disk.set()
    await wait_for_async(lambda: here.fenced == [True], 5, "the old reactor is told")
    assert not event.acked
    assert await engine.count("runs_run") == 0


@pytest.fixture
def new_connections(clean: None) -> Iterator[None]:
    """Those of before are gone with the server's processes."""
    yield
    django_connection.close()


@pytest.mark.usefixtures("new_connections")
async def test_kill_of_a_backend_loses_and_doubles_nothing(here: Reactor, engine: Engine) -> None:
    letters = [letter(f"in/d{n}", {"value": 80, "n": n}) for n in range(300)]
    for n, one in enumerate(letters):
        await here.deliver(one)
        if n in (100, 200):
            await sync_to_async(_kill_a_backend)()
    await here.settle()
    await wait_for_async(lambda: all(one.acked for one in letters), 20, "all is on the disk")
    assert [await engine.count(kind) for kind in KINDS] == [300, 300, 300 * STEPS, 300]
    assert len(engine.world.published) == 300
    assert await engine.count("runs_run WHERE state <> 'succeeded'") == 0


def _kill_a_backend() -> None:
    django_connection.ensure_connection()
    os.kill(django_connection.connection.info.backend_pid, signal.SIGKILL)
    django_connection.close()
