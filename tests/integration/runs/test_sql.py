"""``sql`` asks and changes a second, real PostgreSQL database with a role of its own."""

import asyncio
from typing import Any

import psycopg
import pytest

from appliance.actions import sql as sql_kind
from appliance.actions import sql_session
from appliance.actions.contract import StepResult
from appliance.lib.config import get_config
from tests.database import address
from tests.integration.runs.conftest import Engine
from tests.integration.runs.shop import PASSWORD, keep_secret, url
from tests.wait import wait_for_async


def text(query: str, more: str = "") -> str:
    keys = "".join(f"      {line}\n" for line in more.splitlines())
    return (
        "- name: t\n  trigger: manual\n  principal: engineer\n  actions:\n"
        f"    - id: ask\n      type: sql\n      database: shop\n      query: |\n        {query}\n{keys}"
    )


async def ask(engine: Engine, query: str, more: str = "", inputs: Any = None) -> dict[str, Any]:
    """The row of the step after its run ended."""
    run_id = await engine.begin(text(query, more), inputs)
    await engine.perform(run_id)
    (row,) = await engine.sql("SELECT * FROM runs_step WHERE run_id = %s", run_id)
    return row


async def test_rows_come_as_a_list_of_objects_that_json_can_say(desk: Engine) -> None:
    row = await ask(desk, "SELECT id, name, stock / 2.0 AS half FROM part ORDER BY id")
    assert (row["state"], row["effect"]) == ("succeeded", "pure")
    assert row["output"] == [{"id": 1, "name": "bolt", "half": 3.5}, {"id": 2, "name": "温", "half": 0}]
    row = await ask(
        desk,
        "SELECT '2026-01-02'::date AS d, 12345678901234567890.5 AS big, '{1,2}'::int[] AS l, NULL AS n,"
        " '\\x00ff'::bytea AS b, 'NaN'::float AS nan, '{\"a\": [1]}'::jsonb AS j, interval '90 s' AS i",
    )
    assert row["output"] == [
        {
            "d": "2026-01-02",
            "big": "12345678901234567890.5",
            "l": [1, 2],
            "n": None,
            "b": "00ff",
            "nan": "nan",
            "j": {"a": [1]},
            "i": 90.0,
        }
    ]


async def test_a_value_is_bound_and_never_becomes_text(desk: Engine, shop: Any) -> None:
    hostile = "x'; DELETE FROM part; --"
    row = await ask(
        desk,
        "SELECT %(name)s AS said, 5 %% 3 AS rest",
        'params: {name: "{{ event.name }}"}',
        {"event": {"name": hostile}},
    )
    assert row["output"] == [{"said": hostile, "rest": 2}]
    assert shop.execute("SELECT count(*) FROM part").fetchone() == (2,)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM part",
        "INSERT INTO part VALUES (3, 'nut', 1)",
        "SELECT sneak()",
        "SELECT nextval('numbers')",
        "CREATE TABLE more (a int)",
        "WITH gone AS (DELETE FROM part RETURNING id) SELECT * FROM gone",
        "DO $$ BEGIN DELETE FROM part; END $$",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM part; END $$",
        "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); DELETE FROM part; END $$",
        "SELECT set_config('transaction_read_only', 'off', true), sneak()",
        "SELECT 1; DELETE FROM part",
        "COMMIT; DELETE FROM part",
        "TRUNCATE part",
        "SELECT * FROM part FOR UPDATE",
        "DO $$ BEGIN COMMIT; DELETE FROM part; END $$",
        "DO $$ BEGIN COMMIT; SET default_transaction_read_only = off; DELETE FROM part; END $$",
        "SELECT set_config('default_transaction_read_only', 'off', false), sneak()",
        "SELECT 1 FROM part WHERE sneak() > 0",
        "SELECT setval('numbers', 9)",
        "SELECT lo_create(4711)",
        "EXPLAIN ANALYZE DELETE FROM part",
        "CREATE TEMP TABLE t AS SELECT sneak()",
        "COPY part FROM PROGRAM 'echo'",
    ],
)
async def test_without_write_the_server_refuses_every_change(desk: Engine, shop: Any, query: str) -> None:
    row = await ask(desk, query)
    assert row["state"] == "failed"
    assert row["error"]
    assert shop.execute("SELECT count(*) FROM part").fetchone() == (2,)
    assert shop.execute("SELECT is_called FROM numbers").fetchone() == (False,)
    assert shop.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)


async def test_a_query_that_is_more_than_a_look_passes_the_gate_as_a_change_does(
    desk: Engine, shop: Any
) -> None:
    """A read-only transaction ends other sessions all the same."""
    with psycopg.connect(url(), autocommit=True) as session:
        query = f"SELECT pg_terminate_backend({session.info.backend_pid})"
        run_id = await desk.begin(text(query).replace("principal: engineer", "principal: operator"))
        await desk.perform(run_id)
        (run,) = await desk.sql("SELECT state, reason FROM runs_run WHERE id = %s", run_id)
        assert run["state"] == "failed"
        assert "sql needs engineer" in run["reason"]
        assert session.execute("SELECT 1").fetchone() == (1,)
        row = await ask(desk, query)
        assert (row["state"], row["effect"]) == ("succeeded", "unsafe")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


async def test_a_change_says_how_to_declare_it(desk: Engine) -> None:
    assert "write: true" in (await ask(desk, "DELETE FROM part"))["error"]


async def test_a_declared_change_is_committed_with_its_key(desk: Engine, shop: Any) -> None:
    query = "UPDATE part SET stock = stock + %(n)s RETURNING id, stock"
    row = await ask(desk, query, "params: {n: 5}\nwrite: true")
    assert (row["state"], row["effect"], row["detail"]["rows"]) == ("succeeded", "keyed", 2)
    assert sorted(one["stock"] for one in row["output"]) == [5, 12]
    keys = shop.execute("SELECT key FROM millwright_done").fetchall()
    assert keys == [(f"{row['run_id']}/ask",)]


async def test_a_worker_that_dies_behind_the_commit_changes_nothing_twice(
    desk: Engine, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = asyncio.Event()

    async def dies(*values: Any) -> StepResult:
        await sql_session.change(*values)
        committed.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    query = "UPDATE part SET stock = stock + 1 RETURNING id, stock"
    run_id = await desk.begin(text(query, "write: true"))
    worker = desk.worker()
    monkeypatch.setattr(sql_kind, "change", dies)
    worker.attend(run_id)
    await wait_for_async(committed.is_set, 10)
    await desk.crash(worker)
    await desk.recover(run_id)
    monkeypatch.undo()
    monkeypatch.setattr("appliance.runs.hints.send", lambda run_ids: None)
    assert (await desk.perform(run_id))["state"] == "succeeded"
    assert shop.execute("SELECT stock FROM part ORDER BY id").fetchall() == [(8,), (1,)]
    (row,) = await desk.sql("SELECT * FROM runs_step WHERE run_id = %s", run_id)
    assert row["detail"]["done_before"] is True
    assert sorted(one["stock"] for one in row["output"]) == [1, 8]


async def test_a_change_needs_a_task_that_may_act_as_an_engineer(desk: Engine, shop: Any) -> None:
    changing = text("DELETE FROM part", "write: true").replace("  principal: engineer\n", "")
    run_id = await desk.begin(changing)
    assert "sql needs engineer" in (await desk.perform(run_id))["reason"]
    assert shop.execute("SELECT count(*) FROM part").fetchone() == (2,)


async def test_a_change_that_fails_leaves_no_key_behind(desk: Engine, shop: Any) -> None:
    row = await ask(desk, "INSERT INTO part VALUES (1, 'again', 1)", "write: true")
    assert row["state"] == "failed"
    assert "duplicate key" in row["error"]
    assert shop.execute("SELECT count(*) FROM millwright_done").fetchone() == (0,)


@pytest.mark.parametrize(
    ("query", "more", "said"),
    [
        ("SELECT generate_series(1, 1000000000) AS n", "", "more than 1000 rows"),
        ("SELECT generate_series(1, 3) AS n", "max_rows: 2", "more than 2 rows"),
        ("SELECT repeat('x', 2000) AS x", "max_kib: 1", "more than 1 KiB"),
        ("SELECT 1 AS a, 2 AS a", "", "two columns are named 'a'"),
        ("SELECT pg_sleep(60)", "timeout: 1s", "not done after 1 s"),
        ("SELEC 1", "", "syntax error"),
        ("SET work_mem = '1MB'", "", "gives no rows"),
        ("SELECT * FROM nowhere", "", "does not exist"),
    ],
)
async def test_what_goes_wrong_is_said(desk: Engine, query: str, more: str, said: str) -> None:
    row = await ask(desk, query, more)
    assert row["state"] == "failed"
    assert said in row["error"]


async def test_a_change_that_returns_too_much_is_taken_back(desk: Engine, shop: Any) -> None:
    row = await ask(desk, "DELETE FROM part RETURNING id", "write: true\nmax_rows: 1")
    assert row["state"] == "failed"
    assert shop.execute("SELECT count(*) FROM part").fetchone() == (2,)


async def test_a_role_that_may_not_make_the_table_of_keys_is_told_what_to_do(desk: Engine) -> None:
    await keep_secret(desk, url("guest"))
    row = await ask(desk, "INSERT INTO part VALUES (3, 'nut', 1)", "write: true")
    assert row["state"] == "failed"
    assert "CREATE TABLE millwright_done" in row["error"]


async def test_the_box_s_own_database_is_not_reachable_with_the_engine_s_rights(desk: Engine) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(address())
    where = f"@/{parts['dbname']}?host={parts['host']}" + (
        f"&port={parts['port']}" if parts.get("port") else ""
    )
    secret = get_config().home.secret("postgres")
    for who in (f"{parts['user']}:{parts['password']}", f"postgres:{secret}"):
        await keep_secret(desk, f"postgresql://{who}{where}")
        row = await ask(desk, "SELECT count(*) FROM runs_run")
        assert row["state"] == "failed"
        assert "own database" in row["error"]


async def test_a_wrong_password_fails_and_does_not_wait(desk: Engine) -> None:
    await keep_secret(desk, url(password="wrong-password"))
    row = await ask(desk, "SELECT 1 AS a")
    assert row["state"] == "failed"
    assert "refuses" in row["error"]
    assert "wrong-password" not in row["error"]


@pytest.mark.parametrize("more", ["", "write: true"])
async def test_a_database_that_is_away_is_waited_for(desk: Engine, more: str) -> None:
    await keep_secret(desk, f"postgresql://clerk:{PASSWORD}@127.0.0.1:1/shop")
    run_id = await desk.begin(text("SELECT 1 AS a", more))
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:network"


async def test_a_secret_that_is_missing_or_no_address_is_said(desk: Engine) -> None:
    await keep_secret(desk, "host=/tmp user=clerk")
    assert "not the address of a PostgreSQL" in (await ask(desk, "SELECT 1 AS a"))["error"]
    await desk.sql("DELETE FROM safety_secret")
    await desk.perform(run_id := await desk.start("t"))
    (row,) = await desk.sql("SELECT error FROM runs_step WHERE run_id = %s", run_id)
    assert "no secret 'shop'" in row["error"]
