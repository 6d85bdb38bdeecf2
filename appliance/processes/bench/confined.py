"""What the process sandbox adds to a command: the same one by way of the spawner, and started without anything."""

import asyncio
import os
import statistics
import time

from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row
from appliance.sandbox.ports import Job
from appliance.sandbox.process.client import ProcessSandbox

TIMES = 200
_TRUE = "/bin/true"


def confined(box: Box) -> list[Row]:
    """The median of ``/bin/true`` confined, from the request to its result, without that of one started bare."""
    bare, spawned = asyncio.run(_measure(box))
    return [
        Row("process_sandbox_ms", round(spawned, 2), "ms", "lower"),
        Row("process_sandbox_overhead_ms", round(spawned - bare, 2), "ms", "lower", 10),
    ]


async def _measure(box: Box) -> tuple[float, float]:
    """Both medians in ms, taken in turns so that whatever else runs meets both."""
    sandbox, job = ProcessSandbox(box.config.home.spawner_socket), Job((_TRUE,))
    await sandbox.run(job)
    bare, spawned = [], []
    for _ in range(TIMES):
        began = time.perf_counter()
        _bare()
        between = time.perf_counter()
        await sandbox.run(job)
        bare.append(between - began)
        spawned.append(time.perf_counter() - between)
    return statistics.median(bare) * 1000, statistics.median(spawned) * 1000


def _bare() -> None:
    os.waitpid(os.posix_spawn(_TRUE, [_TRUE], {}), 0)
