"""The measurements by name."""

import time
from collections.abc import Callable
from dataclasses import replace

from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.bench.crash import crash
from appliance.processes.bench.events import load_task, measure, run_load
from appliance.processes.bench.pages import pages
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.bench.scale import scale
from appliance.processes.bench.waiting import waiting

SERVICES = ("web", "worker", "beat", "reactor")
IDLE_SECONDS = 30
RATES = (500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 10000)
CRASH_SAFE, POWER_SAFE = {"MILLWRIGHT_POWER_SAFE": "no"}, {"MILLWRIGHT_POWER_SAFE": "yes"}
"""The bars are those of the crash-safe mode; the other one is measured beside it."""


def start(box: Box) -> list[Row]:
    """From ``manage.py up`` to ``/readyz``, on a home that exists."""
    box.stop()
    box.start()
    return [Row("start_seconds", round(box.start_seconds, 2), "s", "lower", 10)]


def memory(box: Box) -> list[Row]:
    """PSS of the idle services, and of everything the box runs."""
    time.sleep(IDLE_SECONDS)
    parts = {name: pss_mib(pid) for name, pid in box.parts().items()}
    rows = [Row(f"idle_pss_{name}_mib", round(parts[name], 1), "MiB", "lower") for name in SERVICES]
    services = sum(parts[name] for name in SERVICES)
    rows.append(Row("idle_pss_mib", round(services, 1), "MiB", "lower", 450))
    rows.append(Row("idle_pss_whole_mib", round(sum(parts.values()), 1), "MiB", "lower", 650))
    return rows


def event(box: Box) -> list[Row]:
    """MQTT event to MQTT action at 50 events/s, half of them matching, every run durable."""
    load_task(box)
    return measure(box, "in", 50, 20, "event_50", 15)


def reflex(box: Box) -> list[Row]:
    """The same at 200 events/s: the reflex lane."""
    load_task(box)
    rows = measure(box, "in", 200, 20, "reflex", 2)
    return [replace(row, bar=10) if row.name == "reflex_p99_ms" else row for row in rows]


def sustained(box: Box) -> list[Row]:
    """The highest rate at which p99 stays below 250 ms, nothing is lost and nothing comes twice."""
    load_task(box)
    best, first = 0.0, 20_000_000
    for rate in RATES:
        report = run_load(box, "in", rate, 8, first=first)
        first += 1_000_000
        if report.lost or report.twice or percentile(report.latencies, 0.99) >= 250:
            break
        best = rate
    return [Row("reflex_sustained_eps", best, "events/s", "higher", 5000)]


def shell(box: Box) -> list[Row]:
    """MQTT event to a confined ``/bin/true`` and a message, at 20 events/s."""
    load_task(box)
    return measure(box, "shell", 20, 15, "shell_process", 10)


def power_safe(box: Box) -> list[Row]:
    """As ``event`` and ``reflex``, in the mode that a box ships with: the broker syncs every message."""
    box.restart(**POWER_SAFE)
    try:
        load_task(box)
        rows = measure(box, "in", 50, 20, "power_safe_event_50", None)
        return rows + measure(box, "in", 200, 20, "power_safe_reflex", None)
    finally:
        box.restart(**CRASH_SAFE)


SUITE: dict[str, Callable[[Box], list[Row]]] = {
    "start": start,
    "memory": memory,
    "event": event,
    "reflex": reflex,
    "sustained": sustained,
    "shell": shell,
    "waiting": waiting,
    "crash": crash,
    "scale": scale,
    "pages": pages,
    "power_safe": power_safe,
}
