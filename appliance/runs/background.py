"""What an executor does beside its runs: a failure is logged, and it goes on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

log = logging.getLogger(__name__)


async def once(work: Callable[[], Awaitable[None]]) -> bool:
    """Whether it was done; what it failed at is logged."""
    try:
        await work()
        return True
    except (DatabaseError, PoolTimeout, OSError) as error:
        log.warning("database away: %s", error)
    except Exception:
        log.exception("executor background work")
    return False


async def forever(work: Callable[[], Awaitable[None]], every: float) -> None:
    """Again and again, ``every`` seconds after its last end, until cancelled."""
    while True:
        await once(work)
        await asyncio.sleep(every)
