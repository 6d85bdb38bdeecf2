"""How long the router of sentences takes on a box with a thousand tasks, and whether it is right: in this process."""

import time

from appliance.agent.router.golden import judge, read_golden
from appliance.agent.router.intents import own_intents
from appliance.agent.router.knowledge import KnownTask, World, build
from appliance.agent.router.lexicon import lexicon
from appliance.agent.router.router import Router
from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row, percentile

TASKS = 1000
_VERBS = ("check", "clean", "rotate", "fill", "drain", "measure", "report", "open", "close", "start")
_THINGS = ("tank", "pump", "valve", "boiler", "press", "conveyor", "robot", "filter", "mixer", "line")


def routing(box: Box) -> list[Row]:
    """The box is not needed. Cold: from nothing read to the first answer; the others: every golden sentence, warm."""
    world, lines = read_golden()
    lexicon.cache_clear()
    own_intents.cache_clear()
    began = time.perf_counter()
    router = Router(build(_large()))
    router.route(lines[0].text)
    cold = time.perf_counter() - began
    took = []
    for line in lines:
        began = time.perf_counter()
        router.route(line.text)
        took.append(time.perf_counter() - began)
    result = judge(Router(build(world)), lines)
    return [
        Row("router_p95_ms", round(percentile(took, 0.95) * 1000, 2), "ms", "lower", 30),
        Row("router_cold_ms", round(cold * 1000, 1), "ms", "lower"),
        Row("router_golden_wrong", len(result.wrong), "sentences", "lower", 0),
    ]


def _large() -> World:
    tasks = []
    for number in range(TASKS):
        verb, thing = _VERBS[number % 10], _THINGS[number // 10 % 10]
        text = f"{verb.capitalize()} the {thing} number {number} of hall {number % 7}"
        tasks.append(KnownTask(f"{verb}_{thing}_{number}", text))
    return World(tuple(tasks), tuple(f"device-{number}" for number in range(TASKS)))
