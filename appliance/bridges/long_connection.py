"""A WebSocket to a platform that the box itself opens, kept for ever: for platforms that cannot reach the box."""

import asyncio
import logging
import time
from typing import Protocol

from django.utils.translation import gettext_noop
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from python_socks import ProxyError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidURI

from appliance.lib.backoff import delay
from appliance.lib.said import say
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, NotReady, PlatformAway

log = logging.getLogger(__name__)

OPEN_LIMIT = 15.0
PING_EVERY = 20.0
PING_LIMIT = 20.0
PONG_LIMIT = 10.0
"""Seconds that a probe waits for its own ping."""
SILENT = gettext_noop("the platform does not answer on the long connection")
LARGEST_FRAME = 4_000_000
TOKEN_PAUSE = 60.0
LONG_ENOUGH = 60.0
"""Seconds after which a connection that ends was a good one: the next is tried at once."""


class Line(Protocol):
    """What one platform's connection is about."""

    async def address(self) -> str:
        """Ask the platform where to connect now. Raises DeliveryError."""
        ...

    async def serve(self, socket: ClientConnection) -> None:
        """Receive until the connection ends: commit to the inbox first, then acknowledge. Returns to connect anew."""
        ...


class LongConnection:
    """Connects again whatever happens, with backoff and jitter. ``trouble`` says for the probe what is wrong now.

    ``proxy``: ``http://``, ``socks5://`` (the name is resolved here) or ``socks5h://`` (by the proxy).
    """

    def __init__(
        self,
        name: str,
        line: Line,
        proxy: str | None = None,
        *,
        first_pause: float = 1.0,
        silent: str = SILENT,
    ) -> None:
        self._name = name
        self._line = line
        self._proxy = proxy
        self._first_pause = first_pause
        self._silent = silent
        self._failures = 0
        self._socket: ClientConnection | None = None
        self.trouble: str = say("not connected yet")

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def round_trip(self, limit: float = PONG_LIMIT) -> float:
        """Milliseconds of a ping there and back: that the platform's API answers says nothing of this connection, and
        an open one may be dead. Such a one is ended, so that the next is tried now. Raises PlatformAway.
        """
        socket = self._socket
        if socket is None or self.trouble:
            raise PlatformAway(self.trouble or say("not connected yet"))
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await (await socket.ping())
        except (ConnectionClosed, TimeoutError):
            socket.transport.abort()
            raise PlatformAway(self._silent) from None
        return round((time.monotonic() - began) * 1000, 1)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.monotonic()
            pause = 0.0
            try:
                await self._once()
                self.trouble = say("the platform closed the connection")
            except NotReady as error:
                self.trouble, pause = error.message, TOKEN_PAUSE
            except DeliveryDeferred as error:
                self.trouble, pause = error.message, min(error.retry_after, TOKEN_PAUSE)
            except DeliveryError as error:
                self.trouble = error.message
            except (
                ConnectionClosed,
                InvalidHandshake,
                InvalidProxy,
                InvalidURI,
                ProxyError,
                OSError,
            ) as error:
                # Not the error's own words: an address may carry a ticket.
                self.trouble = say("the connection failed (%(kind)s)", kind=type(error).__name__)
            except (DatabaseError, PoolTimeout):
                # Nothing is lost: what was not acknowledged comes again.
                self.trouble = say("the database is away")
            except Exception:
                log.exception("the connection of %s broke", self._name)
                self.trouble = say("the connection broke; see the log")
            lived = self._socket is not None and time.monotonic() - began >= LONG_ENOUGH
            self._socket = None
            self._failures = 0 if lived else self._failures + 1
            if self._failures > 1 or pause:
                log.warning("%s: %s", self._name, self.trouble)
            await asyncio.sleep(pause or delay(self._failures, base=self._first_pause, cap=60.0))

    async def _once(self) -> None:
        address = await self._line.address()
        # proxy=None: one of the environment is meant for other programs.
        async with connect(
            address,
            proxy=self._proxy,
            open_timeout=OPEN_LIMIT,
            ping_interval=PING_EVERY,
            ping_timeout=PING_LIMIT,
            max_size=LARGEST_FRAME,
            close_timeout=2.0,
        ) as socket:
            self._socket = socket
            self.trouble = ""
            await self._line.serve(socket)
