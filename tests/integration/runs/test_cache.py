"""The durable tier of the cache: written in the caller's transaction, versioned."""

import pytest

from appliance.cache import services as cache
from appliance.lib.jsontypes import JsonValue
from tests.integration.runs.conftest import Engine


async def test_a_value_is_read_back_and_each_write_counts(engine: Engine) -> None:
    async with engine.pool.connection() as connection:
        assert await cache.read(connection, {"k"}) == {}
        assert await cache.read(connection, set()) == {}
        values: list[JsonValue] = [1, {"a": [None, "温"]}, None]
        for value in values:
            await cache.write(connection, "k", value, "run/step")
            assert await cache.read(connection, {"k", "other"}) == {"k": value}
    (row,) = await engine.sql("SELECT version, updated_by FROM cache_cacheentry")
    assert row == {"version": 3, "updated_by": "run/step"}


async def test_a_value_goes_with_the_transaction_that_wrote_it(engine: Engine) -> None:
    async def lost() -> None:
        async with engine.pool.connection() as connection, connection.transaction():
            await cache.write(connection, "k", 1, "run/step")
            raise RuntimeError("the result was not committed")

    with pytest.raises(RuntimeError):
        await lost()
    assert await engine.count("cache_cacheentry") == 0


async def test_values_that_json_cannot_say_are_kept_as_text(engine: Engine) -> None:
    async with engine.pool.connection() as connection:
        await cache.write(connection, "k", ["a\x00b", float("inf")], "run/step")
        assert await cache.read(connection, {"k"}) == {"k": ["a\ufffdb", "inf"]}
