"""What the keeper reads and writes: what is served, for which work, and what was learned."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.inference.backends.contract import Footprint
from appliance.inference.catalogue.repository import MANIFEST, Repository
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.errors import ModelUnknown
from appliance.inference.leases import Wish
from appliance.inference.models import Acceptance, ModelChange, ServedModel, WorkChain
from appliance.inference.scheduling.ports import Change, Learned, Served
from appliance.inference.scheduling.records import Records
from appliance.inference.scheduling.shelf import DatabaseShelf
from appliance.lib.clock import ManualClock
from tests.served_models import tiny_served

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Pool = AsyncConnectionPool[AsyncConnection[Any]]


def put(models: Path, name: str, **given: Any) -> Served:
    """On disk and in the database."""
    served = tiny_served(models, name)
    (served.folder / MANIFEST).write_text(served.manifest.model_dump_json())
    row = {"digest": served.manifest.digest, "keep_alive": 600.0, **given}
    ServedModel.objects.create(
        name=name,
        version="1",
        engine=EngineKind.LLAMACPP,
        context=1024,
        slots=2,
        options={"threads": 1},
        changed_at=NOW,
        changed_by="user:ana",
        **row,
    )
    return served


async def test_what_is_served_is_what_was_accepted(pool: Pool, tmp_path: Path) -> None:
    served = await sync_to_async(put)(tmp_path, "good")
    await sync_to_async(put)(tmp_path, "changed", digest="0" * 64)
    await sync_to_async(put)(tmp_path, "off", enabled=False)
    shelf = DatabaseShelf(pool, Repository(tmp_path))
    assert await shelf.served() == [served]
    with pytest.raises(ModelUnknown, match="did you mean `good`"):
        shelf.chain(Wish(model="goot", principal="user:ana"))
    with pytest.raises(ModelUnknown, match="version 1 is live"):
        shelf.chain(Wish(model="good@2", principal="user:ana"))


async def test_the_matrix_orders_and_without_it_whoever_can_does(pool: Pool, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        await sync_to_async(put)(tmp_path, name)
    shelf = DatabaseShelf(pool, Repository(tmp_path))
    await shelf.served()
    wish = Wish(principal="user:ana")
    assert shelf.chain(wish) == ["a", "b", "c"]
    made = {"models_in_order": ["c", "gone", "a"], "changed_at": NOW, "changed_by": "user:ana"}
    await sync_to_async(WorkChain.objects.create)(work="chat", **made)
    await shelf.served()
    assert shelf.chain(wish) == ["c", "a"]


async def test_what_was_learned_stays_and_generations_grow(pool: Pool, tmp_path: Path) -> None:
    served = tiny_served(tmp_path)
    records = Records(pool, ManualClock())
    assert await records.learned(served) == Learned(None, None)
    await records.learn(served, Learned(None, 12.5))
    await records.learn(served, Learned(Footprint(0, 7 << 20, measured=True), None))
    assert await records.learned(served) == Learned(Footprint(0, 7 << 20, measured=True), 12.5)
    assert await records.next_generation() < await records.next_generation()
    change = Change("tiny", "1", 3, InstanceState.FAILED, "signal 11", NOW)
    await records.changed(change)
    row = await sync_to_async(ModelChange.objects.get)()
    assert (row.model, row.state, row.generation, row.reason) == ("tiny", "failed", 3, "signal 11")


async def test_of_many_tests_those_are_kept_that_say_what_has_passed(pool: Pool) -> None:
    def tried(profile: str, passed: bool) -> Acceptance:
        return Acceptance(
            model="tiny", version="1", digest="d" * 64, profile=profile, passed=passed, started_at=NOW,
            finished_at=NOW, asked_by="user:eve",
        )  # fmt: skip

    old = [tried("good", True), tried("good", True), tried("bad", False), tried("good", False)]
    await Acceptance.objects.abulk_create([*old, *[tried("new", False) for _ in range(25)]])
    await Records(pool, ManualClock(NOW)).prune(timedelta(days=30))
    kept = [(one.profile, one.passed) async for one in Acceptance.objects.order_by("pk")]
    assert kept == [("good", True), ("good", False), *[("new", False)] * 20]
