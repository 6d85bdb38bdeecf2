"""What guard refuses is put on record, once, and an alert tells of it."""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from appliance.alerts.follower import AlertFollower
from appliance.lib.clock import SystemClock
from appliance.processes.guard.refusals import KEEP_SECONDS, Cause, Refusals
from appliance.processes.guard.refusals import MOST as KEPT
from appliance.processes.guard_refusals import MOST, GuardRefusals, Told, entries_of
from appliance.sandbox.docker.client import GuardClient
from appliance.sandbox.process import wire
from appliance.sandbox.process.request import Refused
from tests.database import address
from tests.guard import RunningGuard, no_engine, start_guard
from tests.kernel_rules import clear

pytestmark = [pytest.mark.django_db(transaction=True)]
Pool = AsyncConnectionPool[Any]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One that others could enter, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="millwright-refusals-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def guard(folder: Path) -> Iterator[RunningGuard]:
    running = start_guard(folder, no_engine(folder))
    yield running
    running.stop()
    clear(running.home.id)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(address(), min_size=1, kwargs={"autocommit": True}, open=False) as opened:
        yield opened


def ask(guard: RunningGuard, raw: bytes) -> bytes:
    """The kind of the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(str(guard.home.guard_socket))
        heard = b""
        with contextlib.suppress(BrokenPipeError):  # guard may have answered and closed before it is asked
            connection.sendall(raw)
        with contextlib.suppress(ConnectionResetError):  # nor does it read to the end what it refuses
            while piece := connection.recv(65536):
                heard += piece
    return heard[:1]


def as_somebody_else(work: Callable[[], bytes], door: Path, top: Path) -> None:
    """In a process of a user whom nobody let in: as if the modes of all folders and of the socket had failed."""
    way = [door, *door.parents]
    for place in way[: way.index(top) + 1]:
        place.chmod(0o777)
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(61017)
            os._exit(0 if work() == wire.REFUSED else 3)
        finally:
            os._exit(4)
    assert os.waitpid(pid, 0)[1] == 0


async def records(pool: Pool) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT principal, body::jsonb -> 'detail' FROM audit_record WHERE kind = 'guard.refused' ORDER BY seq"
        )
        return [{"principal": row[0], **row[1]} for row in await cursor.fetchall()]


async def test_each_sort_of_refusal_is_on_record_once_and_told(guard: RunningGuard, pool: Pool) -> None:
    witness = GuardRefusals(pool, GuardClient(guard.home.guard_socket))
    await witness.tick()  # what the tests before this one had it refuse
    alerts = AlertFollower(pool, SystemClock(), lambda: None)
    await alerts.follow()
    before = len(await records(pool))
    for _ in range(3):
        assert ask(guard, wire.frame(wire.REQUEST, b'{"verb": "exec"}')) == wire.REFUSED
    assert ask(guard, b"GET /containers/json HTTP/1.1\r\n\r\n") == wire.REFUSED
    assert await witness.tick() == 2
    first, second = (await records(pool))[before:]
    assert (first["cause"], first["times"], first["principal"]) == ("schema", 3, f"uid:{os.getuid()}")
    assert first["pid"] == os.getpid()
    assert (second["cause"], second["times"]) == ("schema", 1)
    # Where it has read to stands in the record: neither it nor one that begins anew tells it twice.
    assert await witness.tick() == 0
    assert await GuardRefusals(pool, GuardClient(guard.home.guard_socket)).tick() == 0
    await alerts.follow()
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT rule, severity FROM alerts_alert ORDER BY first_seq DESC LIMIT 1"
        )
        assert await cursor.fetchone() == ("guard-asked-wrongly", "critical")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
async def test_whoever_may_not_ask_is_named_by_user_and_process(
    guard: RunningGuard, pool: Pool, folder: Path
) -> None:
    door = guard.home.guard_socket
    await GuardRefusals(pool, GuardClient(door)).tick()
    as_somebody_else(lambda: ask(guard, b""), door, folder)  # who asks is looked at before what
    assert await GuardRefusals(pool, GuardClient(guard.home.guard_socket)).tick() == 1
    last = (await records(pool))[-1]
    assert (last["cause"], last["uid"], last["principal"]) == ("peer", 61017, "uid:61017")
    assert "may not" in last["message"]


async def test_the_next_guard_is_read_from_its_beginning(folder: Path, pool: Pool) -> None:
    place = folder / "next"
    place.mkdir()
    for _ in range(2):
        guard = start_guard(place, no_engine(place))
        try:
            ask(guard, wire.frame(wire.REQUEST, b"null"))
            witness = GuardRefusals(pool, GuardClient(guard.home.guard_socket))
            assert await witness.tick() == 1
            assert await witness.tick() == 0
        finally:
            guard.kill()
    clear(guard.home.id)
    assert await witness.tick() == 0  # away


def test_a_flood_is_a_few_records_that_say_how_many() -> None:
    def refusal(number: int) -> dict[str, Any]:
        return {"number": number, "at": 0, "cause": "schema", "message": f"{number}", "uid": 1, "pid": 2}

    kept = [refusal(number) for number in range(745, 745 + KEPT)]
    told = Told.model_validate({"life": "a", "refusals": kept})
    entries = entries_of(told, {"life": "a", "number": 100}, 1)
    assert len(entries) == MOST + 1
    assert sum(int(str(entry.detail["times"])) for entry in entries) == 900
    assert {entry.detail["number"] for entry in entries} == {1000}
    assert entries_of(told, {"life": "a", "number": 1000}, 1) == []
    assert len(entries_of(told, {"life": "another", "number": 1000}, 1)) == MOST + 1


def test_a_shortened_record_has_nothing_told_again() -> None:
    """The record that says how far was read has gone with the others of its time."""
    refusals = Refusals()
    with pytest.raises(Refused), socket.socket(socket.AF_UNIX) as one, refusals.at(Cause.SCHEMA, one):
        raise Refused("no")
    told = Told.model_validate(refusals.to_json())
    (entry,) = entries_of(told, {}, time.time())
    assert datetime.fromisoformat(str(entry.detail["at"])).timestamp() == pytest.approx(time.time(), abs=60)
    assert entries_of(told, {}, time.time() + KEEP_SECONDS + 60) == []
    kept = [{"number": 8, "at": 9000.0, "cause": "schema", "message": "", "uid": 1, "pid": 2}]
    later = Told.model_validate({"life": "a", "forgotten": 7, "refusals": kept})
    (entry,) = entries_of(later, {}, 9001)  # and not one more that says seven are missing
    assert entry.detail["times"] == 1


def test_guard_forgets_what_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = Refusals()
    with pytest.raises(Refused), socket.socket(socket.AF_UNIX) as one, refusals.at(Cause.SCHEMA, one):
        raise Refused("no")
    assert len(Told.model_validate(refusals.to_json()).refusals) == 1
    late = time.time() + KEEP_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: late)
    told = Told.model_validate(refusals.to_json())
    assert (told.refusals, told.forgotten) == ((), 1)
