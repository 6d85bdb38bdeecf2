"""What the box adds to a model's own time: for each step of an agent, of a long one, of many at once; and its stop."""

import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import psycopg

from appliance.lib.jsontypes import JsonObject
from appliance.processes.bench.box import Box
from appliance.processes.bench.modes import CRASH_SAFE
from appliance.processes.bench.player import Asked, Part
from appliance.processes.bench.quiet import ticks_of
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.bench.stage import Stage, end, staged, turn
from appliance.processes.bench.wire import Wire

RUNS, TURNS, LONG_TURNS, LATE_TURNS = 5, 10, 49, 10
STOPS = 5
CONVERSATIONS, THINKS = 20, 2.0
"""Seconds for which the model of each thinks."""
POLICY = "policy: 1\nname: bench\nlayer: box\ndefault: allow\n"
TASK = """
- name: bench_agent
  triggers: [{id: m, mqtt: {topic: "bench/agent", payload: json}}]
  actions:
    - id: think
      type: agent
      goal: "{{ payload.word }}"
      model: played
      tools: [readings.last, mqtt]
      mode: act
      trust: [mqtt]
      budget: {steps: 100, tokens: 10000000, time: 1h}
"""
OUT = "bench/agent-out"
_LEFT = """
SELECT count(*) FROM runs_run r JOIN tasks_task t ON t.id = r.task_id
WHERE t.name = 'bench_agent' AND r.finished_at IS NULL
"""


def agents(box: Box) -> list[Row]:
    with staged(box, **CRASH_SAFE) as stage:
        for name, text, command in (("agent", TASK, "tasks"), ("agent-policy", POLICY, "policy")):
            file = Path(box.home.parent) / f"{name}.yaml"
            file.write_text(text)
            file.chmod(0o644)
            box.manage(command, "apply", str(file))
        _converse(box, stage, [_reading("Warm up.", 2)])
        worker = box.parts()["worker"]
        begun = ticks_of(worker)
        short = [gap for number in range(RUNS) for gap in _gaps(box, stage, f"Short {number}.", TURNS)]
        used = (ticks_of(worker) - begun) * 1000 / os.sysconf("SC_CLK_TCK") / (RUNS * (2 * TURNS + 2))
        late = [
            gap
            for number in range(2)
            for gap in _gaps(box, stage, f"Long {number}.", LONG_TURNS)[-LATE_TURNS:]
        ]
        single = _converse(box, stage, [_reading("Alone.", 2, THINKS)])
        crowd = [_reading(f"Of many {number}.", 2, THINKS) for number in range(CONVERSATIONS)]
        together = _converse(box, stage, crowd)
        stops = [_stop(box, stage, number) for number in range(STOPS)]
    return rows(short, used, late, single, together, stops)


def rows(
    short: Sequence[float],
    used: float,
    late: Sequence[float],
    single: float,
    together: float,
    stops: Sequence[float],
) -> list[Row]:
    """``used``: the worker's processor time for each step, in ms, which a busy machine changes little."""
    ratio = single * CONVERSATIONS / together
    return [
        Row("agent_step_overhead_p50_ms", round(percentile(short, 0.5), 2), "ms", "lower", 10),
        Row("agent_step_overhead_p95_ms", round(percentile(short, 0.95), 2), "ms", "lower"),
        Row("agent_step_processor_ms", round(used, 2), "ms", "lower"),
        Row("agent_step_overhead_100_p50_ms", round(percentile(late, 0.5), 2), "ms", "lower", 10),
        Row("agent_20_conversations_ratio", round(ratio, 1), "x", "higher", 10),
        Row("agent_stop_ms", round(max(stops), 1), "ms", "lower", 1000),
    ]


def gaps(asked: Sequence[Asked]) -> list[float]:
    """In ms for each of the two steps between an answer and the next question: the turn that has it, and its call."""
    return [(after.began - before.ended) * 1000 / 2 for before, after in pairwise(asked)]


def _gaps(box: Box, stage: Stage, word: str, turns: int) -> list[float]:
    _converse(box, stage, [_reading(word, turns)])
    return gaps(stage.asked(word))


def _reading(word: str, turns: int, pause: float = 0.0) -> Part:
    """A conversation that reads something else in each turn, and then answers."""
    lines = [turn(("readings.last", {"topic": f"bench/{number}"})) for number in range(turns)]
    return Part(word, [*lines, end()], pause=pause)


def _converse(box: Box, stage: Stage, parts: Sequence[Part]) -> float:
    """Seconds from their start, all at once, until all have ended."""
    for part in parts:
        stage.play(part)
    began = time.monotonic()
    _start(box, [part.word for part in parts])
    for part in parts:
        stage.wait(part.word, len(part.lines), 120, ended=True)
    _wait_for_ends(box)
    return time.monotonic() - began


def _start(box: Box, words: Sequence[str]) -> None:
    box.publish([("bench/agent", json.dumps({"word": word}).encode()) for word in words])


def _wait_for_ends(box: Box, seconds: float = 60) -> None:
    with psycopg.connect(box.config.database_url, autocommit=True) as db:
        deadline = time.monotonic() + seconds
        while (row := db.execute(_LEFT).fetchone()) and row[0]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{row[0]} runs of agents have not ended")
            time.sleep(0.005)


# --- stop ---------------------------------------------------------------------------------------------------


def _stop(box: Box, stage: Stage, number: int) -> float:
    """From the order until nothing is published any more, and the model is asked no more, in ms.

    One agent is in the middle of a long answer, another publishes without end.
    """
    talks, acts = f"It talks {number}.", f"It acts {number}."
    stage.play(Part(talks, [end("word " * 600)], pieces=600, pace=0.05))
    stage.play(Part(acts, [turn(*_two(number, place)) for place in range(40)], pause=0.15))
    wire = Wire(*box.broker, client_id=f"bench-agent-{time.time_ns()}")
    wire.subscribe(OUT)
    try:
        _start(box, [talks, acts])
        stage.wait(talks, 1, 60)
        _heard(wire, lambda: len(stage.asked(acts)) >= 2, 60)
        ordered, last = _order(box, wire)
        closed = max(one.ended for one in stage.asked(talks))
        if not closed:
            raise RuntimeError("the model talks on though all is stopped")
    finally:
        wire.close()
        for word in (talks, acts):
            stage.play(Part(word, [end()]))
        _release(box, number)
    _wait_for_ends(box)
    return (max(last, closed) - ordered) * 1000


def _two(number: int, place: int) -> list[tuple[str, JsonObject]]:
    return [("mqtt", {"topic": OUT, "payload": f"{number}/{place}/{one}"}) for one in range(2)]


def _order(box: Box, wire: Wire) -> tuple[float, float]:
    """When the order was given, which is when its file is there, and when the last message came after it."""
    words = ("allstop", "engage", "--level", "kill", "--reason", "bench")
    order = threading.Thread(target=box.manage, args=words)
    file = box.home / "ALLSTOP"
    order.start()
    last = _heard(wire, file.exists, 60)
    ordered = time.monotonic()
    last = max(last, _heard(wire, lambda: not order.is_alive(), 60))
    until = time.monotonic() + 2
    return ordered, max(ordered, last, _heard(wire, lambda: time.monotonic() > until, 10))


def _heard(wire: Wire, done: Callable[[], bool], seconds: float) -> float:
    """Listen until ``done``; when the last message came, 0 for none."""
    last, deadline = 0.0, time.monotonic() + seconds
    while not done():
        wire.pump(0.005)
        for _ in wire.messages():
            last = time.monotonic()
        if time.monotonic() > deadline:
            raise RuntimeError("nothing came of it in time")
    return last


def _release(box: Box, number: int) -> None:
    who = f"bench-{secrets.token_hex(3)}"
    password = Path(box.home) / f"release-{number}"
    password.write_text(secrets.token_urlsafe(24))
    box.manage("users", "add", who, "--role", "admin", "--password-file", str(password))
    password.unlink()
    box.manage("allstop", "release", "--reason", "bench", "--as", who)
