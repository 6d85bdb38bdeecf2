"""The measurements by name."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.processes.bench.agents import agents
from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.bench.chat import chat
from appliance.processes.bench.confined import confined
from appliance.processes.bench.containers import containers
from appliance.processes.bench.crash import crash
from appliance.processes.bench.drill import drill
from appliance.processes.bench.events import load_task, measure, run_load, shell_rate
from appliance.processes.bench.gate import gate
from appliance.processes.bench.gateway import gateway
from appliance.processes.bench.growth import growth
from appliance.processes.bench.knowledge import knowledge
from appliance.processes.bench.live import live
from appliance.processes.bench.million import history
from appliance.processes.bench.modes import CRASH_SAFE, POWER_SAFE
from appliance.processes.bench.pages import pages
from appliance.processes.bench.policy import policy
from appliance.processes.bench.ramp import highest
from appliance.processes.bench.routing import routing
from appliance.processes.bench.rows import Row
from appliance.processes.bench.scale import scale
from appliance.processes.bench.scheduler import scheduler
from appliance.processes.bench.shards import shards
from appliance.processes.bench.soak import soak
from appliance.processes.bench.subscriptions import tasks
from appliance.processes.bench.waiting import waiting
from appliance.processes.forkserver import NAME as FORKSERVER

SERVICES = ("web", "worker", "beat", "reactor", "keeper")
IDLE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Measurement:
    measure: Callable[[Box], list[Row]]
    only_named: bool = False
    """It takes so long that it is not part of the whole."""
    needs_box: bool = True


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
    # It holds what they share.
    rows.append(Row("idle_pss_forkserver_mib", round(parts[FORKSERVER], 1), "MiB", "lower"))
    services = sum(parts[name] for name in (*SERVICES, FORKSERVER))
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


def reflex_1000(box: Box) -> list[Row]:
    """The same at 1,000 events/s, to be read beside the peers."""
    load_task(box)
    return measure(box, "in", 1000, 20, "reflex_1000", None)


def sustained(box: Box) -> list[Row]:
    """The highest rate at which p99 stays below 250 ms, nothing is lost and nothing comes twice."""
    load_task(box)
    best = highest(
        lambda rate, first: run_load(box, "in", rate, 8, first=first), lambda: box.restart(**CRASH_SAFE)
    )
    return [Row("reflex_sustained_eps", best, "events/s", "higher", 5000)]


def shell(box: Box) -> list[Row]:
    """MQTT event to a confined ``/bin/true`` and a message: at 20 events/s, and as fast as it goes."""
    load_task(box)
    rows = measure(box, "shell", 20, 15, "shell_process", 10)
    return [*rows, Row("shell_process_rps", shell_rate(box), "runs/s", "higher", 200)]


def power_safe_event(box: Box) -> list[Row]:
    """As ``event``, in the mode that a box ships with: the broker syncs every message."""
    return _power_safe(box, 50, "power_safe_event_50")


def power_safe_reflex(box: Box) -> list[Row]:
    """As ``reflex``, in that mode."""
    return _power_safe(box, 200, "power_safe_reflex")


def _power_safe(box: Box, rate: float, name: str) -> list[Row]:
    box.restart(**POWER_SAFE)
    try:
        load_task(box)
        return measure(box, "in", rate, 20, name, None)
    finally:
        box.restart(**CRASH_SAFE)


SUITE: dict[str, Measurement] = {
    "start": Measurement(start),
    "memory": Measurement(memory),
    "event": Measurement(event),
    "reflex": Measurement(reflex),
    "reflex_1000": Measurement(reflex_1000),
    "sustained": Measurement(sustained),
    "shell": Measurement(shell),
    "confined": Measurement(confined),
    "containers": Measurement(containers),
    "waiting": Measurement(waiting),
    "allstop": Measurement(drill),
    "live": Measurement(live),
    "chat": Measurement(chat),
    "growth": Measurement(growth),
    "crash": Measurement(crash),
    "scale": Measurement(scale, needs_box=False),
    "policy": Measurement(policy, needs_box=False),
    "routing": Measurement(routing, needs_box=False),
    "knowledge": Measurement(knowledge, needs_box=False),
    "scheduler": Measurement(scheduler, needs_box=False),
    "gate": Measurement(gate),
    "tasks": Measurement(tasks),
    "gateway": Measurement(gateway),
    "agent": Measurement(agents),
    "power_safe_event": Measurement(power_safe_event),
    "power_safe_reflex": Measurement(power_safe_reflex),
    "shards": Measurement(shards),
    "pages": Measurement(pages),  # last: it leaves a month of history behind
    "soak": Measurement(soak, only_named=True),
    "history": Measurement(history, only_named=True),
}
