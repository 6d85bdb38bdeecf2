"""The group commit's call by way of libpq: large groups, errors, a connection that ends, a caller that goes."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import connection
from psycopg import AsyncConnection, DataError, OperationalError
from psycopg.conninfo import make_conninfo

from appliance.runs.reflex import sql
from appliance.runs.reflex.call import GroupCall
from tests.database import address
from tests.integration.runs.conftest import Engine
from tests.integration.runs.locks import waits_for_a_lock
from tests.wait import wait_for_async

NOBODY = dict.fromkeys(sql.COMMIT_TAKES) | {
    "generation": 0,
    "commit": 1,
    "settled": "00000000-0000-0000-0000-000000000000",
}


@pytest.fixture
async def own(engine: Engine) -> AsyncIterator[AsyncConnection[Any]]:
    await engine.sql("UPDATE runs_reflex SET generation = 0, commit_number = 0 RETURNING 1")
    connection = await engine.pool.getconn()
    yield connection
    await connection.close()
    await engine.pool.putconn(connection)


async def test_it_gives_the_row_and_knows_a_repeat(own: AsyncConnection[Any]) -> None:
    call = await GroupCall.prepared(own)
    first = await call(NOBODY)
    assert first[0] == "done"
    assert (await call(NOBODY))[0] == "repeated"
    assert isinstance(first[1], int | None)
    assert first[6] is None


async def test_more_than_the_socket_takes_at_once_goes_out_whole(
    own: AsyncConnection[Any], engine: Engine
) -> None:
    call = await GroupCall.prepared(own)
    event = {"type": "run.changed", "subject": "x", "data": {"text": "é" * 4_000_000}}
    assert (await call({**NOBODY, "events": json.dumps([event])}))[0] == "done"
    (row,) = await engine.sql("SELECT length(data ->> 'text') AS n FROM events_event WHERE subject = 'x'")
    assert row["n"] == 4_000_000


async def test_what_the_database_refuses_is_its_error_and_the_connection_goes_on(
    own: AsyncConnection[Any],
) -> None:
    call = await GroupCall.prepared(own)
    with pytest.raises(DataError, match="invalid input syntax"):
        await call({**NOBODY, "events": "no rows"})
    assert (await call(NOBODY))[0] == "done"


async def test_a_connection_that_ends_meanwhile_is_an_operational_error(
    own: AsyncConnection[Any], engine: Engine
) -> None:
    call = await GroupCall.prepared(own)
    async with engine.pool.connection() as other, other.transaction():
        await other.execute("SELECT 1 FROM runs_reflex FOR UPDATE")
        calling = asyncio.create_task(call(NOBODY))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the call waits")
        await other.execute("SELECT pg_terminate_backend(%s)", (own.info.backend_pid,))
        with pytest.raises(OperationalError):
            await calling
    with pytest.raises(OperationalError):
        await call(NOBODY)


async def test_who_is_cancelled_leaves_a_closed_connection(own: AsyncConnection[Any], engine: Engine) -> None:
    call = await GroupCall.prepared(own)
    async with engine.pool.connection() as other, other.transaction():
        await other.execute("SELECT 1 FROM runs_reflex FOR UPDATE")
        calling = asyncio.create_task(call(NOBODY))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the call waits")
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
    assert own.closed


class _SlowEnd:
    """A way to the database on which the last word of each answer may come late."""

    def __init__(self) -> None:
        self.late = 0.0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._serving = threading.Thread(target=self._serve)
        self._serving.start()

    def _serve(self) -> None:
        info = connection.settings_dict
        with self._door:
            client, _ = self._door.accept()
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(f"{info['HOST']}/.s.PGSQL.{info['PORT'] or 5432}")
            asking = threading.Thread(target=self._ask, args=(client, server))
            asking.start()
            with contextlib.suppress(OSError):
                while piece := server.recv(65536):
                    if self.late and piece.endswith(_READY):
                        client.sendall(piece[: -len(_READY)])
                        time.sleep(self.late)
                        piece = _READY
                    client.sendall(piece)
            asking.join()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._serving.join()


_READY = b"Z\x00\x00\x00\x05I"


async def test_the_loop_goes_on_while_the_last_word_of_an_answer_is_under_way(engine: Engine) -> None:
    await engine.sql("UPDATE runs_reflex SET generation = 0, commit_number = 0 RETURNING 1")
    way = _SlowEnd()
    info = make_conninfo(address(), host="127.0.0.1", port=way.port, sslmode="disable", gssencmode="disable")
    own = await AsyncConnection.connect(info, autocommit=True)
    try:
        call = await GroupCall.prepared(own)
        way.late, turns = 0.5, 0
        calling = asyncio.create_task(call(NOBODY))
        while not calling.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert (await calling)[0] == "done"
        assert turns > 10
    finally:
        await own.close()
        await asyncio.to_thread(way.close)
