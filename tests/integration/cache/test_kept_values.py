"""Values that runs and people keep: the last committed one is read, whatever the hot tier remembers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from psycopg import AsyncConnection

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.audit.models import AuditRecord
from appliance.cache import services
from appliance.cache.errors import CacheConflict, CacheNotFound, CacheRefused
from appliance.cache.hot import HOT, HotTier
from appliance.cache.models import CacheEntry
from appliance.cache.stamps import Stamp, tick
from appliance.lib.config import Config
from tests.database import connect_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def two(transactional_db: None) -> AsyncIterator[tuple[AsyncConnection[Any], AsyncConnection[Any]]]:
    """Two sessions; each reads with the hot tier of a process of its own."""
    HOT.clear()
    one, other = await connect_async(), await connect_async()
    yield one, other
    await one.close()
    await other.close()


async def test_a_reader_has_the_last_committed_value_while_its_hot_tier_holds_an_older_one(
    two: tuple[AsyncConnection[Any], AsyncConnection[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = two
    await services.write(writer, "k", {"n": 0}, "run/step")
    for number in range(1, 30):
        assert await services.read(reader, {"k"}) == {"k": {"n": number - 1}}
        # Another process: its hot tier is not the reader's.
        monkeypatch.setattr(services, "HOT", HotTier())
        await services.write(writer, "k", {"n": number}, "run/step")
        monkeypatch.undo()
    async with writer.transaction():
        await services.write(writer, "k", "not committed", "run/step")
        assert await services.read(writer, {"k"}) == {"k": "not committed"}
        assert await services.read(reader, {"k"}) == {"k": {"n": 29}}
    assert await services.read(reader, {"k"}) == {"k": "not committed"}


async def test_a_value_that_was_rolled_back_is_forgotten(
    two: tuple[AsyncConnection[Any], AsyncConnection[Any]],
) -> None:
    one, _ = two
    await services.write(one, "k", "kept", "run/step")

    async def lost() -> None:
        async with one.transaction():
            await services.write(one, "k", "lost", "run/step")
            assert await services.read(one, {"k"}) == {"k": "lost"}
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await lost()
    assert await services.read(one, {"k"}) == {"k": "kept"}


async def test_redis_holds_no_value_and_may_be_flushed_in_the_middle(
    two: tuple[AsyncConnection[Any], AsyncConnection[Any]], engines: Config
) -> None:
    one, other = two
    with redis.Redis.from_url(engines.redis_url) as client:
        for number in range(20):
            await services.write(one, "k", number, "run/step")
            client.flushall()
            assert await services.read(other, {"k"}) == {"k": number}


async def test_of_writers_that_saw_the_same_version_one_wins(
    two: tuple[AsyncConnection[Any], AsyncConnection[Any]],
) -> None:
    one, other = two
    assert await services.write(one, "k", 0, "run/step", expected=0) == 1
    with pytest.raises(CacheConflict):
        await services.write(one, "k", 1, "run/step", expected=0)
    with pytest.raises(CacheConflict):
        await services.write(one, "nothing here", 1, "run/step", expected=3)
    done = await asyncio.gather(
        *(services.write(which, "k", 1, "run/step", expected=1) for which in (one, other)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in done) == ["CacheConflict", "int"]


async def test_the_stamp_of_the_database_is_the_one_of_the_rules(
    two: tuple[AsyncConnection[Any], AsyncConnection[Any]],
) -> None:
    one, _ = two
    before: Stamp | None = None
    ahead = 60_000
    for _ in range(3):
        await services.write(one, "k", 1, "run/step")
        row = await (
            await one.execute("SELECT wall, counter, origin, updated_at FROM cache_cacheentry")
        ).fetchone()
        assert row is not None
        stamp = Stamp(*row[:3])
        if before is not None:
            assert stamp == tick(row[3], stamp.origin, before)
        # As if another box, a minute ahead, had written.
        await one.execute("UPDATE cache_cacheentry SET wall = wall + %s", (ahead,))
        before, ahead = Stamp(stamp.wall + ahead, stamp.counter, stamp.origin), 0


def test_people_set_and_remove_values_on_record(transactional_db: None) -> None:
    assert services.set_value("line/mode", {"a": 1}, CONSOLE) == 1
    assert services.set_value("line/mode", {"a": 2}, CONSOLE, expected=1) == 2
    with pytest.raises(CacheConflict):
        services.set_value("line/mode", {"a": 3}, CONSOLE, expected=1)
    assert services.show("line/mode").write.value == {"a": 2}
    with pytest.raises(NotAllowed):
        services.set_value("line/mode", 1, Principal("user:o", Role.OPERATOR))
    for key in ("", " ", "a\nb", "x" * 201, "a\x00"):
        with pytest.raises(CacheRefused):
            services.set_value(key, 1, CONSOLE)
    services.remove_value("line/mode", CONSOLE)
    with pytest.raises(CacheNotFound):
        services.show("line/mode")
    assert services.set_value("line/mode", 3, CONSOLE, expected=0) == 4
    kinds = list(AuditRecord.objects.order_by("seq").values_list("kind", flat=True))
    assert kinds[-4:] == ["cache.set", "cache.set", "cache.removed", "cache.set"]
    assert CacheEntry.objects.get().deleted is False


def test_the_hot_tier_keeps_within_its_bytes() -> None:
    tier = HotTier(most_bytes=100)
    for number in range(50):
        tier.answer(tier.ask([f"k{number}"]), [(f"k{number}", number + 1, '"0123456789"')])
    question = tier.ask([f"k{number}" for number in range(50)])
    held = [key for key, one in question.held.items() if one]
    assert held == [f"k{number}" for number in range(42, 50)]
