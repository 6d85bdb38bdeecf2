"""Keeps the mask of this process in line with the secrets that the box has."""

import asyncio
import logging
import threading
import time
from typing import Any

from django.db import connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.safety.secrets import mask_all, mask_now

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds until a secret that another process has set is masked here too."""


class Masks:
    """``look`` reads the secrets anew where any has changed; whoever performs steps looks before the first one."""

    EVERY = EVERY

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._stamp: object = None

    async def look(self) -> None:
        try:
            async with self._pool.connection() as connection:
                self._stamp = await mask_all(connection, self._stamp)
        except Exception as error:
            # Away, as everything is then. What is known stays masked.
            log.warning("secrets could not be read for the mask: %s", type(error).__name__)

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(self.EVERY)
            await self.look()


def mask_in_background() -> None:
    """For processes without a loop of their own: a thread that looks as ``Masks`` does, on a connection of its own."""
    threading.Thread(target=_look_forever, name="masks", daemon=True).start()


def _look_forever() -> None:
    stamp: object = None
    while True:
        try:
            stamp = mask_now(stamp)
        except Exception as error:
            log.warning("secrets could not be read for the mask: %s", type(error).__name__)
            connections.close_all()
        time.sleep(EVERY)
