"""What an event costs as tasks grow, and what it costs to understand a command: the box's own code in one process."""

import time
from datetime import UTC, datetime

from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row
from appliance.safety.commands import understand
from appliance.tasks.definition.task import define
from appliance.tasks.matching import Armed, TriggerTable

EVENTS = 20_000
COMMANDS = 2_000


def _table(count: int) -> TriggerTable:
    """Every fourth one has a wildcard; one event is for one of them."""
    armed = []
    for number in range(count):
        topic = (
            f"plant/{{line}}/pump-{number}/temp" if number % 4 == 0 else f"plant/line-1/pump-{number}/temp"
        )
        made, issues = define(
            {
                "name": f"t{number}",
                "triggers": [{"id": "m", "mqtt": {"topic": topic}, "when": "{{ payload.value > 50 }}"}],
                "actions": [{"type": "set", "value": 1}],
            }
        )
        if made is None:
            raise RuntimeError(f"the measuring task cannot be read: {issues}")
        armed.append(Armed(number, number, made, made.triggers[0]))
    return TriggerTable(armed)


def _microseconds(table: TriggerTable, count: int) -> float:
    """Per event, over topics that are all different at first and then repeat. The best of five rounds."""
    now, payload, best = datetime.now(UTC), b'{"value": 80}', float("inf")
    topics = [f"plant/line-1/pump-{number * 7919 % count}/temp" for number in range(2000)]
    for _ in range(5):
        began = time.perf_counter()
        for index in range(EVENTS):
            table.match_message(topics[index % len(topics)], payload, now)
        best = min(best, (time.perf_counter() - began) / EVENTS * 1e6)
    return best


def _understanding() -> float:
    """Microseconds per command, each with another value in a text that was read before. The best of five rounds."""
    script, best = 'tail -n 100 "${1}" | grep -i error', float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for number in range(COMMANDS):
            understand(script, [f"/var/log/app-{number}.log"])
        best = min(best, (time.perf_counter() - began) / COMMANDS * 1e6)
    return best


def scale(box: Box) -> list[Row]:
    """The box is not needed: this is the reactor's own code, without a broker around it."""
    few, many = _microseconds(_table(100), 100), _microseconds(_table(10_000), 10_000)
    return [
        Row("trigger_match_100_us", round(few, 1), "us", "lower"),
        Row("trigger_match_10000_us", round(many, 1), "us", "lower"),
        Row("trigger_scale_ratio", round(many / few, 2), "x", "lower", 2),
        Row("command_understand_us", round(_understanding(), 1), "us", "lower", 100),
    ]
