"""The keeper's door: a Unix socket of the box's own user. A lease ends with its connection, or before it."""

import asyncio
import contextlib
import logging
from pathlib import Path

from pydantic import BaseModel, ValidationError

from appliance.inference.errors import ModelRefused, ModelUnknown
from appliance.inference.leases import (
    ASK,
    LONGEST_LINE,
    SERVED,
    Beat,
    Done,
    Granted,
    Order,
    RefusedLease,
    Verb,
    Wish,
)
from appliance.inference.scheduling.answers import refusal
from appliance.inference.scheduling.keeper import Keeper
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

FIRST_LINE = 10.0
"""Seconds that a client has to say what it wants."""
REST = 120.0
"""Seconds that a connection may stand without a lease once it had one."""


class KeeperServer:
    def __init__(self, keeper: Keeper, socket: Path) -> None:
        self._keeper = keeper
        self._socket = socket
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        """Until cancelled; then every connection ends, also those that only rest."""
        self._socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connected, self._socket, limit=LONGEST_LINE)
        self._socket.chmod(0o600)
        async with server:
            try:
                await server.serve_forever()
            finally:
                for writer in list(self._open):
                    writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # whoever goes away gives back what they had
        except Exception:
            log.exception("a client of the keeper could not be served")
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        within = FIRST_LINE
        while True:
            async with asyncio.timeout(within):
                line = await _line(reader)
            if line is None:
                return
            try:
                asked = ASK.validate_json(line)
            except ValidationError as error:
                where = ".".join(str(part) for part in error.errors()[0]["loc"])
                told = ModelRefused(f"this is no request to the keeper: {where or 'it is no JSON'}")
                await _say(writer, refusal(told))
                return
            if isinstance(asked, Wish):
                if not await self._lease(asked, reader, writer):
                    return
            elif isinstance(asked, Order):
                await _say(writer, await self._obey(asked))
            else:
                await _say(writer, self._keeper.view())
            within = REST

    async def _lease(self, wish: Wish, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """From the wish to the lease's end; gives whether the client may wish for another one here."""
        reach("keeper.before_grant")
        following = asyncio.create_task(_line(reader))
        granted = await self._granted(wish, following, writer)
        if granted is None:
            following.cancel()
            return False
        reach("keeper.after_grant")
        try:
            line = await following
            while line is not None:
                said = SERVED.validate_json(line)
                if not isinstance(said, Beat):
                    return True
                self._keeper.beat(granted.lease, said)
                line = await _line(reader)
        except ValidationError:
            log.warning("a client of the keeper says what nobody understands; its lease ends")
        finally:
            self._keeper.release(granted.lease)
        return False

    async def _granted(
        self, wish: Wish, gone: "asyncio.Task[bytes | None]", writer: asyncio.StreamWriter
    ) -> Granted | None:
        """Pass the news on until there is a lease. A client that goes away meanwhile leaves the line."""
        news = self._keeper.lease(wish)
        try:
            while True:
                following = asyncio.ensure_future(anext(news))
                await asyncio.wait([following, gone], return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                    return None
                one = following.result()
                if isinstance(one, Granted) and gone.done():
                    self._keeper.release(one.lease)
                    return None
                try:
                    await _say(writer, one)
                except ConnectionError:
                    if isinstance(one, Granted):
                        self._keeper.release(one.lease)
                    raise
                if isinstance(one, Granted):
                    return one
                if isinstance(one, RefusedLease):
                    return None
        finally:
            await news.aclose()

    async def _obey(self, order: Order) -> Done | RefusedLease:
        try:
            if order.verb is Verb.REFRESH:
                await self._keeper.refresh()
            else:
                self._keeper.obey(order)
        except MillwrightError as error:
            return refusal(error)
        except KeyError:
            return refusal(ModelUnknown(f"the model {order.model!r} is not served on this box"))
        return Done()


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line; None at the end. A line that is too long ends the conversation."""
    try:
        return await reader.readuntil(b"\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None


async def _say(writer: asyncio.StreamWriter, line: BaseModel) -> None:
    writer.write(line.model_dump_json().encode() + b"\n")
    await writer.drain()
