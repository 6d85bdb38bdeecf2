"""``foreach`` over the rows of a query in a second, real PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from appliance.runs.shards import sources, splitter
from appliance.runs.shards.sources import BATCH
from tests.integration.runs.conftest import Engine
from tests.integration.runs.shop import PASSWORD, keep_secret, url
from tests.integration.runs.test_shards import output, shards, split, whole

MANY = BATCH * 3 + 7


def text(query: str, params: str = "{}", more: str = "", principal: str = "engineer") -> str:
    return f"""
- name: t
  trigger: manual
  principal: {principal}
  vars: {{least: 5}}
  actions:
    - id: each
      type: foreach
      query: {{database: shop, query: "{query}", params: {params}}}
      {more}
      actions:
        - {{type: mqtt, topic: "part/{{{{ item.id }}}}", payload: "{{{{ index }}}} {{{{ item.name }}}}"}}
"""


async def done(engine: Engine, *given: str) -> tuple[UUID, dict[str, Any]]:
    run_id = await engine.begin(text(*given))
    return run_id, await whole(engine, run_id)


async def test_a_query_that_is_more_than_a_look_passes_the_gate_as_a_change_does(desk: Engine) -> None:
    query = "SELECT pg_backend_pid() AS id, '' AS name"
    _, row = await done(desk, query, "{}", "", "operator")
    assert (row["state"], desk.world.published) == ("failed", [])
    assert "sql needs engineer" in row["reason"]
    assert (await done(desk, query))[1]["state"] == "succeeded"
    assert (await done(desk, "SELECT id, name FROM part", "{}", "", "operator"))[1]["state"] == "succeeded"


async def test_each_row_is_a_shard_with_its_columns(desk: Engine) -> None:
    run_id, row = await done(desk, "SELECT id, name FROM part ORDER BY id")
    assert row["state"] == "succeeded"
    assert sorted(desk.world.published) == [("part/1", b"0 bolt"), ("part/2", "1 温".encode())]
    assert (await split(desk))["source"]["count"] == 2
    assert len(await output(desk, run_id, "each")) == 2


async def test_a_value_is_bound_and_computed_once(desk: Engine, shop: Any) -> None:
    _, row = await done(
        desk,
        "SELECT id, %(said)s AS name FROM part WHERE stock > %(least)s",
        "{least: '{{ vars.least }}', said: \"x'; DELETE FROM part; --\"}",
    )
    assert row["state"] == "succeeded"
    assert desk.world.published == [("part/1", b"0 x'; DELETE FROM part; --")]
    assert shop.execute("SELECT count(*) FROM part").fetchone() == (2,)


async def test_no_rows_are_success_with_nothing_done_where_none_must_succeed(desk: Engine) -> None:
    run_id, row = await done(desk, "SELECT id, name FROM part WHERE false")
    assert row["state"] == "succeeded"
    (step,) = await desk.sql("SELECT output, detail FROM runs_step WHERE run_id = %s", run_id)
    assert (step["output"], step["detail"]["note"]) == ([], "there was nothing to do: no items")
    _, row = await done(desk, "SELECT id, name FROM part WHERE false", "{}", "join: {at_least: 2}")
    assert row["state"] == "failed"
    assert "at least 2 must" in row["reason"]


@asynccontextmanager
async def noted_deletes(desk: Engine) -> AsyncIterator[Callable[[], Awaitable[list[int]]]]:
    """How many runs each statement deletes."""

    async def pieces() -> list[int]:
        return [row["n"] for row in await desk.sql("SELECT n FROM deleted_runs")]

    await desk.sql("CREATE TABLE deleted_runs (n integer)")
    await desk.sql(
        "CREATE FUNCTION note_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO deleted_runs SELECT count(*) FROM gone; RETURN NULL; END $$"
    )
    await desk.sql(
        "CREATE TRIGGER note_deleted AFTER DELETE ON runs_run REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION note_deleted()"
    )
    try:
        yield pieces
    finally:
        await desk.sql("DROP TRIGGER note_deleted ON runs_run")
        await desk.sql("DROP FUNCTION note_deleted")
        await desk.sql("DROP TABLE deleted_runs")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("SELECT id, sneak() FROM part", "this statement changes something"),
        ("DELETE FROM part RETURNING id", "syntax error"),
        ("SELECT 1 AS id; DELETE FROM part", "multiple commands"),
        ("COMMIT; DELETE FROM part", "syntax error"),
        ("SELECT id, id FROM part", "two columns are named 'id'"),
        ("SELECT id FROM nowhere", "does not exist"),
        ("SELECT id, repeat('x', 300000) AS name FROM part", "a row of more than 256 KiB"),
    ],
)
async def test_what_is_no_harmless_query_fails_and_changes_nothing(
    desk: Engine, shop: Any, query: str, word: str
) -> None:
    _, row = await done(desk, query)
    assert row["state"] == "failed"
    assert word in row["reason"]
    assert desk.world.published == []
    assert shop.execute("SELECT count(*) FROM part").fetchone() == (2,)


async def test_more_rows_than_can_be_split_is_said_and_nothing_is_done(
    desk: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_SHARDS", BATCH + 50)
    _, row = await done(desk, f"SELECT n AS id, 'x' AS name FROM generate_series(1, {MANY}) n")
    assert row["state"] == "failed"
    assert f"a step can be split into at most {BATCH + 50:,}" in row["reason"]
    assert desk.world.published == []
    states = {one["state"] for one in await shards(desk)}
    assert states <= {"cancelled", "waiting"}


async def test_more_bytes_than_shards_may_have_is_said(desk: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_BYTES", 100_000)
    _, row = await done(desk, f"SELECT n AS id, repeat('x', 100) AS name FROM generate_series(1, {MANY}) n")
    assert row["state"] == "failed"
    assert "bytes of items, are more than" in row["reason"]


async def test_after_a_crash_all_rows_are_of_one_snapshot(
    desk: Engine, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the first one were never begun; what was inserted of them goes, some at a time."""
    monkeypatch.setattr(splitter, "BATCH", 300)
    shop.execute(f"CREATE TABLE item AS SELECT n AS id, 'old' AS name FROM generate_series(1, {MANY}) n")
    shop.execute("GRANT SELECT ON item TO clerk")
    run_id = await desk.begin(text("SELECT id, name FROM item ORDER BY id", "{}", "join: any"))
    worker = desk.worker()
    worker.attend(run_id)
    async with asyncio.timeout(20):
        while not await desk.count("runs_run WHERE split_id IS NOT NULL"):
            await asyncio.sleep(0)
    await desk.crash(worker)
    assert 0 < await desk.count("runs_run WHERE split_id IS NOT NULL") < MANY
    shop.execute("DELETE FROM item WHERE id > 500")
    shop.execute("UPDATE item SET name = 'new'")
    await desk.recover(run_id)
    async with noted_deletes(desk) as pieces:
        assert (await whole(desk, run_id))["state"] == "succeeded"
        assert max(await pieces()) <= 300
    assert [one["inputs"]["item"]["name"] for one in await shards(desk)] == ["new"] * 500
    assert (await split(desk))["total"] == 500


async def test_a_database_that_is_away_is_waited_for(desk: Engine) -> None:
    await keep_secret(desk, f"postgresql://clerk:{PASSWORD}@127.0.0.1:1/shop")
    run_id = await desk.begin(text("SELECT id, name FROM part"))
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:network"
    await keep_secret(desk, url())
    await desk.sql("UPDATE runs_run SET wake_at = now() WHERE id = %s", run_id)
    assert (await whole(desk, run_id))["state"] == "succeeded"
    assert len(desk.world.published) == 2


async def test_a_box_that_switched_sql_off_asks_nothing_here_either(desk: Engine) -> None:
    desk.denied_kinds = frozenset({"sql"})
    _, row = await done(desk, "SELECT id, name FROM part")
    assert row["state"] == "failed"
    assert "kind sql are switched off" in row["reason"]
    refused = await desk.sql(
        "SELECT 1 FROM audit_record WHERE kind = 'step.refused' AND subject = %s", f"{row['id']}/each"
    )
    assert len(refused) == 1
