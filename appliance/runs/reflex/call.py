"""The call of the group commit, by way of libpq itself.

``AsyncConnection.execute`` waits in a task and with a timer of its own, for writing and again for reading: 60 µs of the
loop for each commit, where this takes 20. Everything else goes by psycopg, on the same connection.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from appliance.runs.reflex import sql

_NAME = b"millwright_reflex_commit"
_ONE_ROW = ExecStatus.TUPLES_OK


class GroupCall:
    """Of one connection, which nobody else uses meanwhile. Make it with ``prepared``."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._read = Transformer(connection)

    @classmethod
    async def prepared(cls, connection: AsyncConnection[Any]) -> "GroupCall":
        await connection.execute(sql.PREPARE_COMMIT)
        return cls(connection)

    async def __call__(self, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The row that the function gives. Raises psycopg's errors.

        Who is cancelled here leaves a closed connection: the answer that is still to come is nobody's.
        """
        pgconn = self._connection.pgconn
        pgconn.send_query_prepared(_NAME, [_encoded(parameters[name]) for name in sql.COMMIT_TAKES])
        try:
            results = await _answered(pgconn)
        except asyncio.CancelledError:
            await self._connection.close()
            raise
        for result in results:  # where the server ends: its reason, and that the connection is lost
            if result.status != _ONE_ROW:
                raise error_from_result(result, encoding="utf-8")
        self._read.set_pgresult(results[0])
        row: Sequence[Any] | None = self._read.load_row(0, tuple)
        assert row is not None
        return row


def _encoded(value: Any) -> bytes | None:
    if value is None:
        return None
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()


async def _answered(pgconn: PGconn) -> list[PGresult]:
    """Send what is to be sent; all results, when the whole answer is there. Raises OperationalError.

    It is whole when the server is ready for the next call: only then is what was done committed. libpq is never asked
    for a result while it would wait for one itself, which would hold the whole loop.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[PGresult]] = loop.create_future()
    results: list[PGresult] = []
    socket = pgconn.socket

    def look(step: Any) -> None:
        if answer.done():
            return
        try:
            step()
        except Exception as error:
            if any(result.status != _ONE_ROW for result in results):
                answer.set_result(results)  # the server has said why it goes
            else:
                answer.set_exception(error)

    def read() -> None:
        pgconn.consume_input()
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                answer.set_result(results)
                return
            results.append(result)

    def write() -> None:
        if not pgconn.flush():
            loop.remove_writer(socket)

    loop.add_reader(socket, look, read)
    waits = False
    try:
        waits = bool(pgconn.flush())
        if waits:  # more than the socket takes at once
            loop.add_writer(socket, look, write)
        return await answer
    finally:
        loop.remove_reader(socket)
        if waits:
            loop.remove_writer(socket)
