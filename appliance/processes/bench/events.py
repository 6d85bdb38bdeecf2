"""MQTT event in, action, MQTT message out: latency at a steady rate (open loop, from when an event was due)."""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.lib.config import ROOT
from appliance.processes.bench.box import Box
from appliance.processes.bench.load import Load, Report
from appliance.processes.bench.rows import Row, percentile

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


def run_load(box: Box, path: str, rate: float, seconds: float, **more: Any) -> Report:
    """One run of the load generator, in a process of its own, against the box's broker."""
    host, port, user, password = box.broker
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
    return Report(**json.loads(done.stdout))


def load_task(box: Box) -> None:
    file = Path(box.home.parent) / "bench.yaml"
    file.write_text(TASK)
    file.chmod(0o644)
    box.manage("tasks", "apply", str(file))
    time.sleep(2)


def measure(box: Box, path: str, rate: float, seconds: float, name: str, bar: float | None) -> list[Row]:
    """Latency rows ``<name>_p50_ms`` and ``<name>_p99_ms``, and what was lost or came twice."""
    matching = 2 if path == "in" else 1
    run_load(box, path, rate, 3, matching=matching, first=10_000_000)
    report = run_load(box, path, rate, seconds, matching=matching)
    if not report.latencies:
        raise RuntimeError(f"{name}: nothing came back")
    return [
        Row(f"{name}_p50_ms", round(percentile(report.latencies, 0.5), 2), "ms", "lower", bar),
        Row(f"{name}_p99_ms", round(percentile(report.latencies, 0.99), 2), "ms", "lower"),
        Row(f"{name}_lost", report.lost, "events", "lower", 0),
        Row(f"{name}_twice", report.twice, "events", "lower", 0),
    ]
