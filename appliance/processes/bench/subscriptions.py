"""What an event costs in a real box as tasks grow, and how long they take to come into force."""

import time

from appliance.processes.bench.box import Box
from appliance.processes.bench.events import answer_seconds, apply, load_task, measure
from appliance.processes.bench.modes import CRASH_SAFE
from appliance.processes.bench.rows import Row

COUNTS = (1, 100, 1000, 10_000)
PER_FILE = 500
"""As many as a task file may have."""
APPLY_SECONDS = 900.0
_FILLER = """
- name: bench_filler_{number}
  triggers: [{{mqtt: {{topic: "plant/{{line}}/pump-{number}/temp", payload: json}}}}]
  actions: [{{type: set, value: 1}}]
"""
_LAST = """
- name: bench_last_{count}
  triggers: [{{mqtt: {{topic: "bench/last-{count}/{{dev}}", payload: json}}}}]
  actions: [{{type: mqtt, topic: "bench/out/{{{{ dev }}}}", payload: {{seq: -1, t: 0}}}}]
"""


def tasks(box: Box) -> list[Row]:
    """In a box of its own: its tasks would be in the way of what is measured later."""
    with box.at_rest(), Box(**CRASH_SAFE) as own:
        load_task(own)
        try:
            rows = _rows(own)
        finally:
            box.lateness += own.lateness
    return rows


def _rows(box: Box) -> list[Row]:
    rows, medians, there = [], list[float](), 1
    for count in COUNTS:
        if count > 1:
            applied, reloaded = _add(box, there, count)
            rows.append(Row(f"tasks_{count}_apply_s", round(applied, 1), "s", "lower"))
            rows.append(Row(f"tasks_{count}_reload_s", round(reloaded, 1), "s", "lower"))
        there = count
        found = measure(box, "in", 200, 10, f"tasks_{count}", None)
        medians.append(found[0].value or 0.0)
        rows += found
    return [*rows, Row("tasks_scale_ratio", round(medians[-1] / medians[0], 2), "x", "lower")]


def _add(box: Box, there: int, count: int) -> tuple[float, float]:
    """Seconds of ``tasks apply`` for what brings ``there`` subscriptions to ``count``, and from its end until
    the last one of them acts."""
    texts = [_FILLER.format(number=number) for number in range(there, count - 1)]
    texts.append(_LAST.format(count=count))
    files = {
        f"bench-{count}-{first}": "".join(texts[first : first + PER_FILE])
        for first in range(0, len(texts), PER_FILE)
    }
    began = time.monotonic()
    apply(box, files, seconds=APPLY_SECONDS)
    applied = time.monotonic() - began
    return applied, answer_seconds(box, f"last-{count}", patience=120)
