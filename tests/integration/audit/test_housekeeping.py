"""Once a day the box shortens its record as its settings say, and tells people where that must not be."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.alerts.follower import AlertFollower
from appliance.alerts.models import Alert
from appliance.audit.retention import anchors
from appliance.audit.services import append_here, sign_head
from appliance.lib.clock import ManualClock
from appliance.lib.config import get_config
from appliance.processes.housekeeping import Housekeeping
from tests.database import address

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def follower(tmp_path: Path) -> AsyncIterator[AlertFollower]:
    """Of a box with two records, a month between them, that it has looked at."""
    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        address(), min_size=1, max_size=2, kwargs={"autocommit": True}, open=False
    )
    await pool.open()
    for days in (0, 30):
        await sync_to_async(append_here)("run.started", "user:ana", f"run/{days}", {})
        await sync_to_async(sign_head)(START + timedelta(days=days), tmp_path)
    yield AlertFollower(pool, ManualClock(START + timedelta(days=31)), lambda: None)
    await pool.close()
    await sync_to_async(connections.close_all)()


def housekeeping(follower: AlertFollower, home: Path, days: int) -> Housekeeping:
    own = get_config()
    moved = own.model_copy(update={"audit_keep_days": days, "home": type(own.home)(home, own.home.id)})
    return Housekeeping(follower._pool, follower._clock, moved, follower)


@pytest.fixture(autouse=True)
def _in_this_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = get_config()
    moved = own.model_copy(update={"home": type(own.home)(tmp_path, own.home.id)})
    monkeypatch.setattr("appliance.audit.retention.get_config", lambda: moved)


async def cuts() -> list[int]:
    return [one.seq for one in await sync_to_async(anchors)()]


async def test_what_is_older_than_its_days_goes_once_it_was_looked_at(
    follower: AlertFollower, tmp_path: Path
) -> None:
    keeper = housekeeping(follower, tmp_path, 7)
    await keeper._shorten_record()
    assert await cuts() == []
    await follower.follow()
    await housekeeping(follower, tmp_path, 0)._shorten_record()
    assert await cuts() == []
    await keeper._shorten_record()
    assert await cuts() == [1]


async def test_a_broken_record_is_kept_and_told(
    follower: AlertFollower, tmp_path: Path, tamper: Callable[..., None]
) -> None:
    await follower.follow()
    await sync_to_async(tamper)("UPDATE audit_record SET principal = 'user:eve' WHERE seq = 1")
    await housekeeping(follower, tmp_path, 7)._shorten_record()
    assert await cuts() == []
    told = await Alert.objects.aget()
    assert (told.rule, told.severity) == ("record-broken", "critical")


async def test_a_head_that_cannot_be_signed_keeps_no_other_duty_from_being_done(
    follower: AlertFollower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follower.follow()
    keeper = housekeeping(follower, tmp_path, 7)

    tried: list[bool] = []

    def unwritable(now: datetime) -> None:
        tried.append(True)
        raise PermissionError("heads.jsonl")

    monkeypatch.setattr("appliance.processes.housekeeping.sign_head", unwritable)
    await keeper.tick()
    assert (len(tried), await cuts()) == (1, [1])
    await keeper.tick()
    assert len(tried) == 2, "it is tried at the very next call"
