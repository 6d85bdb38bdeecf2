"""A step of 10,000 shards: how fast they are carried, and how long the page of their run takes."""

import time
from pathlib import Path

import httpx
import psycopg

from appliance.processes.bench.box import Box
from appliance.processes.bench.pages import TIMES, ask, visitor
from appliance.processes.bench.rows import Row, percentile

SHARDS = 10_000
BAR_MS = 300.0
MOST_SECONDS = 600.0
TASK = f"""
- name: bench_shards
  trigger: manual
  actions:
    - id: each
      type: foreach
      range: {{from: 1, to: {SHARDS}}}
      parallelism: 64
      collect: counts
      actions: [{{type: set, value: "{{{{ item }}}}"}}]
"""
_STATE = """
SELECT r.id, r.state, s.succeeded FROM runs_split s JOIN runs_run r ON r.id = s.run_id
WHERE s.step = 'each' ORDER BY s.id DESC LIMIT 1
"""
LISTS = ("", "?shards=succeeded", f"?after={SHARDS - 200}")


def shards(box: Box) -> list[Row]:
    """``set`` for each of the shards; then the page of their run, as a whole and narrowed down, over HTTP."""
    file = Path(box.home.parent) / "bench-shards.yaml"
    file.write_text(TASK)
    file.chmod(0o644)
    box.manage("tasks", "apply", str(file))
    began = time.monotonic()
    box.manage("tasks", "run", "bench_shards")
    run = _ended(box, began)
    carried = time.monotonic() - began
    with visitor(box) as client:
        slowest = max(_p95(client, f"/runs/{run}/{query}") for query in LISTS)
    return [
        Row(f"run_page_{SHARDS}_shards_ms", round(slowest, 1), "ms", "lower", BAR_MS),
        Row("shards_per_second", round(SHARDS / carried, 1), "shards/s", "higher"),
    ]


def _ended(box: Box, began: float) -> str:
    """The run, when all its shards are done. Raises RuntimeError where they are not in time."""
    with psycopg.connect(box.config.database_url, autocommit=True) as db:
        while True:
            row = db.execute(_STATE).fetchone()
            if row is not None and row[1] == "succeeded":
                return str(row[0])
            if time.monotonic() - began > MOST_SECONDS:
                raise RuntimeError(f"{row[2] if row else 0} of {SHARDS} shards after {MOST_SECONDS:g} s")
            time.sleep(0.1)


def _p95(client: httpx.Client, path: str) -> float:
    return percentile([ask(client, path) for _ in range(TIMES)], 0.95)
