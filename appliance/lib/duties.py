"""Duties of one round, each by itself: what one raises is told, and the next is done all the same."""

import logging
from collections.abc import Awaitable, Callable

from psycopg_pool import PoolTimeout

from appliance.lib.away import database_error

log = logging.getLogger(__name__)

Duty = Callable[[], Awaitable[object]]


async def done(duty: Duty) -> bool:
    """Do it; whether it was done. A database that gives no connection ends the round: PoolTimeout is raised."""
    try:
        await duty()
    except PoolTimeout:
        raise
    except Exception as error:
        name = getattr(duty, "__qualname__", repr(duty))
        if database_error(error):
            log.warning("%s is tried again in the next round: %s", name, error)
        else:
            log.exception("%s failed; it is tried again in the next round", name)
        return False
    return True


async def do_each(*duties: Duty) -> None:
    """Do all of them, in order. Raises PoolTimeout."""
    for duty in duties:
        await done(duty)
