"""How long a confined command takes, from the asyncio client to the outcome."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from appliance.sandbox.ports import Job
from tests.spawner import RunningSpawner, start_spawner

JOBS = 200
AT_ONCE = 4
BAR_MS = 4.0


async def _seconds(spawner: RunningSpawner, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        outcome = await spawner.sandbox.run(Job(("/bin/true",)))
        taken.append(time.perf_counter() - began)
        assert outcome.exit_status == 0
    return taken


async def measure(spawner: RunningSpawner) -> dict[str, float]:
    """Milliseconds one after another, and jobs per second with a few at once."""
    await _seconds(spawner, 10)
    alone = await _seconds(spawner, JOBS)
    began = time.perf_counter()
    await asyncio.gather(*(_seconds(spawner, JOBS // AT_ONCE) for _ in range(AT_ONCE)))
    rate = JOBS / (time.perf_counter() - began)
    cuts = statistics.quantiles(alone, n=100)
    return {
        "spawner_p50_ms": round(cuts[49] * 1000, 2),
        "spawner_p99_ms": round(cuts[98] * 1000, 2),
        "spawner_jobs_per_s": round(rate, 1),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spawner = start_spawner(Path(folder))
        try:
            figures = asyncio.run(measure(spawner))
        finally:
            spawner.stop()
    rows = [
        {"name": name, "value": value, "bar": BAR_MS, "better": "lower", "met": value <= BAR_MS}
        if name == "spawner_p50_ms"
        else {"name": name, "value": value}
        for name, value in figures.items()
    ]
    print(json.dumps({"rows": rows}, indent=2))


if __name__ == "__main__":
    main()
