"""The load generator: a process of its own, open loop, safe from coordinated omission.

Each event has a time at which it is due, and its latency counts from that time: what falls behind cannot hide
it. Started as ``python -m appliance.processes.bench.load`` with one JSON object on standard input; gives one.
"""

import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.processes.bench.wire import Wire

DEVICES = 100


@dataclass(frozen=True, slots=True)
class Load:
    """``matching``: every n-th event leads to an action (2: half of them). Events are numbered from ``first``."""

    host: str
    port: int
    user: str
    password: str
    path: str
    rate: float
    seconds: float
    matching: int = 2
    first: int = 0
    patience: float = 15.0
    """Seconds to wait for what has not come back when the last event was sent."""


@dataclass(slots=True)
class Report:
    """Latencies in ms of what came back first, in the order of their events; and what did not go well."""

    sent: int = 0
    wanted: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    late_ms: float = 0.0
    """How late the generator itself was at worst: more than a few ms means a busy machine."""
    latencies: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each event is due, whatever became of those before it: that is what makes the load open."""

    began: float
    rate: float
    count: int

    def due(self, index: int) -> float:
        return self.began + index / self.rate

    def is_due(self, index: int, now: float) -> bool:
        return index < self.count and self.due(index) <= now

    @property
    def end(self) -> float:
        return self.due(self.count)


def generate(load: Load) -> Report:
    _wake_on_time()
    wire = Wire(load.host, load.port, load.user, load.password, f"bench-{time.time_ns()}")
    wire.subscribe("bench/out/+")
    report, came = Report(), dict[int, float]()
    count = int(load.rate * load.seconds)
    topics = [f"bench/{load.path}/d{device}" for device in range(DEVICES)]
    schedule = Schedule(time.monotonic() + 0.1, load.rate, count)
    index = 0
    while True:
        now = time.monotonic()
        while schedule.is_due(index, now):
            due = schedule.due(index)
            report.late_ms = max(report.late_ms, (now - due) * 1000)
            matches = index % load.matching == 0
            body = f'{{"seq":{load.first + index},"t":{due!r},"value":{90 if matches else 10}}}'
            wire.publish(topics[index % DEVICES], body.encode())
            report.wanted += matches
            index += 1
        until = schedule.due(index) if index < count else now + 0.05
        wire.pump(max(0.0, min(0.05, until - now)))
        for payload in wire.messages():
            _take(payload, load, came, report)
        if index >= count and (len(came) >= report.wanted or now > schedule.end + load.patience):
            break
    _settle(wire, load, came, report)
    report.sent = index
    report.lost = report.wanted - len(came)
    report.acknowledged = wire.acknowledged
    report.latencies = [came[key] for key in sorted(came)]
    wire.close()
    return report


def _wake_on_time() -> None:
    """Linux lets whoever sleeps wake 50 µs late, to wake several at once: the latency of each event would have them."""
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")


def _settle(wire: Wire, load: Load, came: dict[int, float], report: Report) -> None:
    """Listen a little longer: a second delivery comes after the first."""
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        wire.pump(0.05)
        for payload in wire.messages():
            _take(payload, load, came, report)


def _take(payload: bytes, load: Load, came: dict[int, float], report: Report) -> None:
    now = time.monotonic()
    body: dict[str, Any] = json.loads(payload)
    number = int(body["seq"])
    if not load.first <= number < load.first + int(load.rate * load.seconds):
        return
    if number in came:
        report.twice += 1
    else:
        came[number] = (now - float(body["t"])) * 1000


if __name__ == "__main__":
    json.dump(asdict(generate(Load(**json.load(sys.stdin)))), sys.stdout)
