"""How long the router of sentences takes on a box with a thousand tasks, and whether it is right: in this process."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from appliance.agent.router.distilling import distil
from appliance.agent.router.domain import Meaning
from appliance.agent.router.encoded import EncodedProposer
from appliance.agent.router.golden import Line, judge, read_golden
from appliance.agent.router.intents import own_intents
from appliance.agent.router.interpreting import NO_INTENT, Asked
from appliance.agent.router.knowledge import Knowledge, KnownTask, World, build
from appliance.agent.router.labelling import labels_of, sentences
from appliance.agent.router.lexicon import lexicon
from appliance.agent.router.readiness import Readiness, ReadyEncoder
from appliance.agent.router.router import Router
from appliance.agent.router.student import Student
from appliance.inference.client import KeeperClient
from appliance.inference.domain import Need
from appliance.inference.embeddings.ngrams import NgramEncoder
from appliance.inference.embeddings.scripts import Reads
from appliance.inference.embeddings.served import ServedEncoder
from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row, percentile

TASKS = 1000
NAMES = ("greet", "backup_db", "restart_pump_1")
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
    small = build(world)
    with tempfile.TemporaryDirectory() as folder:
        away = router.joined_by((_encoder_away(Path(folder) / "no.sock", small),), None)
        away_p95 = _p95(away, lines)
    result = judge(Router(small), lines)
    return [
        Row("router_p95_ms", _p95(router, lines), "ms", "lower", 30),
        Row("router_cold_ms", round(cold * 1000, 1), "ms", "lower"),
        Row(
            "router_student_p95_ms",
            _p95(router.joined_by((_student(small),), None), lines),
            "ms",
            "lower",
            30,
        ),
        Row("router_encoder_away_p95_ms", away_p95, "ms", "lower", 30),
        *_stages(router, lines),
        Row("router_golden_wrong", len(result.wrong), "sentences", "lower", 0),
    ]


def _p95(router: Router, lines: Sequence[Line]) -> float:
    took = []
    for line in lines:
        began = time.perf_counter()
        router.route(line.text)
        took.append(time.perf_counter() - began)
    return round(percentile(took, 0.95) * 1000, 2)


def _stages(router: Router, lines: Sequence[Line]) -> list[Row]:
    """Of each step, over the sentences that came to it."""
    took: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for step, seconds in router.route(line.text).took:
            took[step].append(seconds)
    return [
        Row(f"router_{step}_p95_ms", round(percentile(found, 0.95) * 1000, 2), "ms", "lower")
        for step, found in took.items()
        if step not in ("others", "model")
    ]


def _student(knowledge: Knowledge) -> Student:
    """Of a teacher that says what the box knows to be meant: what it costs to ask one does not depend on its labels."""
    known = {one.text: one.meant for one in sentences(knowledge, NAMES)}

    class Teacher:
        def interpret(self, asked: Asked) -> Meaning | None:
            meant = known[asked.text]
            return Meaning(meant) if meant != NO_INTENT else None

    return distil(labels_of(Teacher(), knowledge, NAMES))[0]


def _encoder_away(socket: Path, knowledge: Knowledge) -> EncodedProposer:
    """One that was there when the router was made, and whose keeper is gone."""
    client = KeeperClient(socket)
    ngrams = NgramEncoder()
    served = ServedEncoder(client, "encoder", ngrams.digest, ngrams.size)
    ready = ReadyEncoder(served, Readiness(client, Need.EMBEDDINGS))
    proposer = EncodedProposer(ready, Reads(latin_only=False), knowledge.intents.values())
    proposer.warm(ngrams)
    return proposer


def _large() -> World:
    tasks = []
    for number in range(TASKS):
        verb, thing = _VERBS[number % 10], _THINGS[number // 10 % 10]
        text = f"{verb.capitalize()} the {thing} number {number} of hall {number % 7}"
        tasks.append(KnownTask(f"{verb}_{thing}_{number}", text))
    return World(tuple(tasks), tuple(f"device-{number}" for number in range(TASKS)))
