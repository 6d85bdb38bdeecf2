"""What an event costs when the ledger holds a million runs: filled by SQL, over thirty days."""

from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg

from appliance.lib.identity import uuid_floor
from appliance.lib.partitions import Key
from appliance.processes.bench.box import Box
from appliance.processes.bench.events import load_task, measure
from appliance.processes.bench.filling import identifier, make_days
from appliance.processes.bench.modes import CRASH_SAFE
from appliance.processes.bench.rows import Row

RUNS, DAYS = 1_000_000, 30
PARTITIONED = {"runs_run": Key.UUID, "runs_step": Key.UUID, "tasks_occurrence": Key.UUID}
# The same number gives the run and its occurrence the same identifier, which is good enough to fill.
_IDENTIFIERS = f"""
CREATE TEMPORARY TABLE filler AS
SELECT {identifier("at", "n")} AS id, at
FROM (SELECT n, %(first)s::timestamptz + (%(last)s::timestamptz - %(first)s::timestamptz) * n / %(runs)s AS at
    FROM generate_series(0, %(runs)s - 1) AS n) AS numbers
"""
_FILL: tuple[LiteralString, ...] = (
    """
INSERT INTO tasks_occurrence (id, task_id, trigger, due_at, state, event, run_id, created_at)
SELECT f.id, t.id, 'mqtt', f.at, 'fired', '{"topic": "bench/in/d1", "payload": {"seq": 1, "value": 90}}', f.id, f.at
FROM filler f, tasks_task t WHERE t.name = 'bench_echo'
""",
    """
INSERT INTO runs_run (id, task_id, version_id, occurrence_id, lane, state, principal, origin, trigger, inputs,
    version, epoch, created_at, started_at, finished_at)
SELECT f.id, t.id, t.current_id, f.id, 'reflex', 'succeeded', 'box', 'mqtt', 'mqtt',
    '{"topic": "bench/in/d1", "payload": {"seq": 1, "value": 90}}', 1, 1, f.at, f.at, f.at
FROM filler f, tasks_task t WHERE t.name = 'bench_echo'
""",
    """
INSERT INTO runs_step (run_id, step, attempt, position, kind, effect, state, epoch, input, output, started_at,
    finished_at)
SELECT f.id, 'mqtt', 1, 0, 'mqtt', 'idempotent', 'succeeded', 1, '{"topic": "bench/out/d1"}', '{}', f.at, f.at
FROM filler f
""",
)


def history(box: Box) -> list[Row]:
    """In a box of its own, which keeps more days than are filled."""
    settings = {**CRASH_SAFE, "MILLWRIGHT_KEEP_DAYS": str(2 * DAYS)}
    with box.at_rest(), Box(**settings) as own:
        load_task(own)
        rows = measure(own, "in", 200, 20, "history_0", None)
        fill(own.config.database_url, datetime.now(UTC))
        rows += measure(own, "in", 200, 20, "history_1000000", None)
        box.lateness += own.lateness
    few, many = (row.value or 0.0 for row in rows if row.name.endswith("_p50_ms"))
    return [*rows, Row("history_scale_ratio", round(many / few, 2), "x", "lower")]


def fill(database_url: str, now: datetime) -> None:
    """A million ended runs, each with its step and occurrence, on the thirty days before today."""
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    first = today - timedelta(days=DAYS)
    with psycopg.connect(database_url, autocommit=True) as db:
        make_days(db, PARTITIONED, first.date(), DAYS)
        db.execute(_IDENTIFIERS.encode(), {"first": first, "last": today, "runs": RUNS})
        for statement in _FILL:
            db.execute(statement)
        db.execute("ANALYZE")
        found = db.execute("SELECT count(*) FROM runs_run WHERE id < %s", [uuid_floor(today)]).fetchone()
    if not found or found[0] < RUNS:
        raise RuntimeError(f"the ledger holds {found and found[0]} runs, not {RUNS}")
