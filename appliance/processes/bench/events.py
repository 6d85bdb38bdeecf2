"""MQTT event in, action, MQTT message out: latency at a steady rate (open loop, from when an event was due)."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from appliance.lib.config import ROOT
from appliance.processes.bench.box import Box
from appliance.processes.bench.load import Load, Report
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.bench.wire import Wire

TASK = """
- name: bench_echo
  triggers:
    - mqtt: {topic: "bench/in/{dev}", payload: json}
      when: "{{ payload.value > 50 }}"
  actions:
    - type: mqtt
      topic: "bench/out/{{ dev }}"
      payload: {seq: "{{ payload.seq }}", t: "{{ payload.t }}"}
- name: bench_shell
  triggers:
    - mqtt: {topic: "bench/shell/{dev}", payload: json}
  actions:
    - {type: shell, args: ["/bin/true"]}
    - type: mqtt
      topic: "bench/out/{{ dev }}"
      payload: {seq: "{{ payload.seq }}", t: "{{ payload.t }}"}
"""
ANSWER_SECONDS = 60.0


class Target(Protocol):
    """Whatever answers events of a broker: the box, or a peer."""

    lateness: list[float]
    """How late the load generator was, in ms, one entry per load."""

    @property
    def broker(self) -> tuple[str, int, str, str]:
        """Host, port, user, password."""


def run_load(target: Target, path: str, rate: float, seconds: float, **more: Any) -> Report:
    """One run of the load generator, in a process of its own, against the target's broker."""
    host, port, user, password = target.broker
    load = Load(host, port, user, password, path, rate, seconds, **more)
    done = subprocess.run(
        [sys.executable, "-m", "appliance.processes.bench.load"],
        input=json.dumps(asdict(load)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + load.patience + 60,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load generator failed: {done.stderr[-500:]}")
    report = Report(**json.loads(done.stdout))
    target.lateness.append(report.late_ms)
    return report


def load_task(box: Box) -> None:
    apply(box, {"bench": TASK})
    answer_seconds(box, "in")


def apply(box: Box, texts: Mapping[str, str], seconds: float = 60) -> None:
    """Bring task files, by name, into the box with one ``tasks apply``."""
    files = {Path(box.home.parent) / f"{name}.yaml": text for name, text in texts.items()}
    for file, text in files.items():
        file.write_text(text)
        file.chmod(0o644)
    box.manage("tasks", "apply", *map(str, files), seconds=seconds)


def answer_seconds(target: Target, path: str, patience: float = ANSWER_SECONDS) -> float:
    """How long until events on ``bench/PATH/d0`` are answered. Raises RuntimeError when they never are."""
    wire = Wire(*target.broker, client_id=f"bench-ask-{time.time_ns()}")
    wire.subscribe("bench/out/+")
    began = time.monotonic()
    try:
        while (waited := time.monotonic() - began) < patience:
            wire.publish(f"bench/{path}/d0", b'{"seq":-1,"t":0,"value":90}')
            for _ in range(5):
                wire.pump(0.01)
                if next(wire.messages(), None) is not None:
                    return time.monotonic() - began
    finally:
        wire.close()
    raise RuntimeError(f"events on bench/{path} are not answered after {waited:.0f} s")


def measure(
    target: Target, path: str, rate: float, seconds: float, name: str, bar: float | None
) -> list[Row]:
    """Latency rows ``<name>_p50_ms`` and ``<name>_p99_ms``, and what was lost or came twice."""
    matching = 2 if path == "in" else 1
    run_load(target, path, rate, 3, matching=matching, first=10_000_000)
    return latency_rows(run_load(target, path, rate, seconds, matching=matching), name, bar, none_missing=0)


def shell_rate(box: Box, rate: float = 400, seconds: float = 2) -> float:
    """Runs a second while more of them wait than can be done: all that came at once, by the time they took."""
    report = run_load(box, "shell", rate, seconds, matching=1, first=20_000_000, patience=ANSWER_SECONDS)
    done = max((index / rate + late / 1000 for index, late in enumerate(report.latencies)), default=0.0)
    return round(len(report.latencies) / done, 1) if done else 0.0


def latency_rows(
    report: Report, name: str, bar: float | None = None, none_missing: float | None = None
) -> list[Row]:
    """``bar`` is that of the median, ``none_missing`` that of what was lost or came twice."""
    if not report.latencies:
        raise RuntimeError(f"{name}: nothing came back")
    return [
        Row(f"{name}_p50_ms", round(percentile(report.latencies, 0.5), 2), "ms", "lower", bar),
        Row(f"{name}_p99_ms", round(percentile(report.latencies, 0.99), 2), "ms", "lower"),
        Row(f"{name}_lost", report.lost, "events", "lower", none_missing),
        Row(f"{name}_twice", report.twice, "events", "lower", none_missing),
    ]
