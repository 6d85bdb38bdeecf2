"""A duty that fails keeps no other from being done."""

import logging
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from appliance.lib.duties import do_each


def duty(done: list[str], name: str, error: Exception | None = None) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        done.append(name)
        if error:
            raise error

    return work


@pytest.mark.parametrize(
    "error", [PermissionError("key"), KeyError(), psycopg.errors.InsufficientPrivilege()]
)
async def test_the_others_are_done(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    with caplog.at_level(logging.WARNING):
        await do_each(duty(done, "first", error), duty(done, "second"))
    assert done == ["first", "second"]
    assert "tried again in the next round" in caplog.text


async def test_a_database_that_gives_no_connection_ends_the_round() -> None:
    """Each of them would wait for one as long."""
    done: list[str] = []
    with pytest.raises(PoolTimeout):
        await do_each(duty(done, "first", PoolTimeout()), duty(done, "second"))
    assert done == ["first"]
