"""From an event to the request at a chat platform: MQTT, task, outbox, bridge, HTTP. Ten platforms on loopback.

Each message goes to a chat that hears little else, as people's chats do: what a platform bears in one chat a second is
no figure of the box.
"""

import json
import time
from pathlib import Path

from appliance.processes.bench.box import Box
from appliance.processes.bench.chat_platform import ChatPlatform
from appliance.processes.bench.events import apply
from appliance.processes.bench.load import Schedule
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.bench.wire import Wire

PLATFORMS = tuple(f"chat{number}" for number in range(10))
HANGING = PLATFORMS[-1]
CHATS = 40
"""Of each platform, in each load."""
RATE, SECONDS = 20.0, 15.0
BURST = 1200
PATIENCE = 60.0
TASK = """
- name: bench_NAME
  triggers: [{id: m, mqtt: {topic: "bench/NAME/{chat}", payload: json}}]
  actions:
    - {type: notification, platform: NAME, to: "{{ chat }}", message: "{{ payload.seq }} {{ payload.t }}"}
"""


def chat(box: Box) -> list[Row]:
    """Handover at a steady rate, the same while one platform hangs, and as many as go out while more wait."""
    with ChatPlatform() as platform:
        _set_up(box, platform)
        quiet = _steady(box, platform, 10_000)
        burst = _burst(box, platform, 20_000)
        platform.hang(HANGING)
        _send(box, [(HANGING, 30_000 + number) for number in range(CHATS)], 1000.0)
        hung = _steady(box, platform, 40_000)
    return [
        Row("chat_handover_p50_ms", round(percentile(list(quiet.values()), 0.5), 1), "ms", "lower"),
        Row("chat_handover_p95_ms", round(percentile(list(quiet.values()), 0.95), 1), "ms", "lower", 300),
        Row("chat_messages_per_s", round(burst, 1), "messages/s", "higher", 50),
        Row("chat_hanging_p95_ms", round(percentile(_others(hung), 0.95), 1), "ms", "lower"),
        Row(
            "chat_hanging_delay_ratio",
            round(percentile(_others(hung), 0.95) / percentile(_others(quiet), 0.95), 2),
            "x",
            "lower",
            1.5,
        ),
    ]


def platforms_at(root: str) -> dict[str, object]:
    """The configuration file of all ten."""
    entries = [
        {"name": name, "kind": "telegram", "auth": f"{number}:bench-{'x' * 30}", "api_root": f"{root}/{name}"}
        for number, name in enumerate(PLATFORMS, 1)
    ]
    return {"platforms": entries}


def tasks() -> str:
    return "".join(TASK.replace("NAME", name) for name in PLATFORMS)


def _set_up(box: Box, platform: ChatPlatform) -> None:
    file = Path(box.home.parent) / "bench-platforms.json"
    file.write_text(json.dumps(platforms_at(f"http://127.0.0.1:{platform.port}")))
    file.chmod(0o644)
    box.manage("platforms", "load", str(file))
    apply(box, {"bench-chat": tasks()})
    for attempt in range(30):
        _send(box, [(name, attempt * len(PLATFORMS)) for name in PLATFORMS], 1000.0)
        time.sleep(1)
        if {name for name, *_ in platform.arrived()} == set(PLATFORMS):
            return
    raise RuntimeError("the platforms are not told anything")


def _steady(box: Box, platform: ChatPlatform, first: int) -> dict[tuple[str, int], float]:
    """Milliseconds from when each event was due, by platform and number. What hangs is not waited for."""
    wanted = [(PLATFORMS[number % len(PLATFORMS)], first + number) for number in range(int(RATE * SECONDS))]
    _send(box, wanted, RATE)
    return {key: late for key, (late, _) in _all(platform, wanted).items()}


def _burst(box: Box, platform: ChatPlatform, first: int) -> float:
    """Messages a second while more of them wait than can go."""
    wanted = [(PLATFORMS[number % len(PLATFORMS)], first + number) for number in range(BURST)]
    began = time.monotonic()
    _send(box, wanted, 2000.0)
    arrived = _all(platform, wanted)
    return len(wanted) / (max(at for _, at in arrived.values()) - began)


def _send(box: Box, events: list[tuple[str, int]], rate: float) -> None:
    """An open load: each event carries when it was due, and the box's lateness counts from then."""
    wire = Wire(*box.broker, client_id=f"bench-chat-{time.time_ns()}")
    schedule, index, late = Schedule(time.monotonic() + 0.2, rate, len(events)), 0, 0.0
    while index < len(events) or wire.acknowledged < len(events):
        now = time.monotonic()
        while index < len(events) and schedule.is_due(index, now):
            name, number = events[index]
            due = schedule.due(index)
            late = max(late, (now - due) * 1000)
            chat_id = number // len(PLATFORMS) % CHATS + 1
            body = f'{{"seq":{number},"t":{due!r}}}'
            wire.publish(f"bench/{name}/{number // 10_000}{chat_id:03}", body.encode())
            index += 1
        wire.pump(0.002)
        for _ in wire.messages():
            pass
    wire.close()
    box.lateness.append(late)


def _all(platform: ChatPlatform, wanted: list[tuple[str, int]]) -> dict[tuple[str, int], tuple[float, float]]:
    """What came of these: milliseconds and the time. Raises RuntimeError when some of those that answer lack."""
    deadline = time.monotonic() + PATIENCE
    due = set(wanted)
    while True:
        found = {(name, number): (late, at) for name, number, late, at in platform.arrived()}
        lacking = due - found.keys()
        if all(name == HANGING for name, _ in lacking) and len(lacking) < len(due) / 5:
            return {key: found[key] for key in due & found.keys()}
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(lacking)} of {len(due)} messages never reached their platform")
        time.sleep(0.2)


def _others(late: dict[tuple[str, int], float]) -> list[float]:
    """Of all platforms but the one that hangs."""
    return [value for (name, _), value in late.items() if name != HANGING]
