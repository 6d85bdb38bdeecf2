"""The measurements by name."""

import time
from collections.abc import Callable

from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.bench.events import load_task, measure
from appliance.processes.bench.rows import Row

SERVICES = ("web", "worker", "beat", "reactor")
IDLE_SECONDS = 30


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


def shell(box: Box) -> list[Row]:
    """MQTT event to a confined ``/bin/true`` and a message, at 20 events/s."""
    load_task(box)
    return measure(box, "shell", 20, 15, "shell_process", None)


SUITE: dict[str, Callable[[Box], list[Row]]] = {
    "start": start,
    "memory": memory,
    "event": event,
    "shell": shell,
}
