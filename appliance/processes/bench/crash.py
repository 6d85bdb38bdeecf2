"""``kill -9`` of the reactor in the middle of 200 events/s: what never came, what came twice."""

import os
import signal
import threading
import time

from appliance.processes.bench.box import Box
from appliance.processes.bench.events import load_task, run_load
from appliance.processes.bench.rows import Row

RATE, SECONDS = 200.0, 10.0


def crash(box: Box) -> list[Row]:
    """A second delivery is allowed for what was in flight at the kill; the row shows how many there were."""
    load_task(box)
    reactor = box.parts()["reactor"]

    def kill() -> None:
        time.sleep(SECONDS / 2)
        os.kill(reactor, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    report = run_load(box, "in", RATE, SECONDS, first=50_000_000, patience=45.0)
    killer.join()
    return [
        Row("crash_lost", report.lost, "events", "lower", 0),
        Row("crash_duplicates", report.twice, "events", "lower"),
        Row("crash_longest_s", round(max(report.latencies, default=0) / 1000, 2), "s", "lower"),
    ]
