"""How many bytes of the database 1,000 runs take, in each lane."""

import time

import psycopg

from appliance.processes.bench.box import Box
from appliance.processes.bench.events import load_task, run_load
from appliance.processes.bench.rows import Row

RATE, SECONDS, WORKER_RATE, WORKER_SECONDS = 200.0, 20.0, 20.0, 50.0
_SIZE = "SELECT pg_database_size(current_database())"
_OPEN = "SELECT count(*) FROM runs_run WHERE state IN ('queued', 'running', 'waiting')"
_RUNS = "SELECT count(*) FROM runs_run WHERE lane = %s"


def growth(box: Box) -> list[Row]:
    """Runs with their steps, occurrences, journal and audit, and all indexes; without the write-ahead log,
    which PostgreSQL uses again."""
    load_task(box)
    loads = {
        "reflex": ("in", RATE, SECONDS, 2),
        "worker": ("shell", WORKER_RATE, WORKER_SECONDS, 1),
    }
    rows = []
    with psycopg.connect(box.config.database_url, autocommit=True) as db:
        for lane, (path, rate, seconds, matching) in loads.items():
            before = _state(db, lane)
            run_load(box, path, rate, seconds, matching=matching, first=30_000_000)
            size, runs = (now - then for now, then in zip(_state(db, lane), before, strict=True))
            if runs <= 0:
                raise RuntimeError(f"no run went through the {lane} lane")
            rows.append(Row(f"growth_{lane}_bytes", round(1000 * size / runs), "bytes/1000 runs", "lower"))
    return rows


def _state(db: "psycopg.Connection[tuple[int]]", lane: str) -> tuple[int, int]:
    """Bytes of the database and runs of that lane, when nothing is under way any more."""
    deadline = time.monotonic() + 60
    while _number(db, _OPEN) and time.monotonic() < deadline:
        time.sleep(0.1)
    return _number(db, _SIZE), _number(db, _RUNS, lane)


def _number(db: "psycopg.Connection[tuple[int]]", statement: str, *values: str) -> int:
    row = db.execute(statement, values or None).fetchone()
    return row[0] if row else 0
