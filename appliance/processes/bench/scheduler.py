"""How long the keeper of models thinks about one who waits, with fifty models and a full machine: in this process."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from appliance.inference.backends.contract import Footprint, Profile
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.domain import EngineKind, InstanceState, ModelFormat
from appliance.inference.leases import Wish
from appliance.inference.scheduling.deciding import decide
from appliance.inference.scheduling.instance import Held, Instance
from appliance.inference.scheduling.line import Line, Waiter
from appliance.inference.scheduling.memory import GIB, MACHINE, Room
from appliance.inference.scheduling.ports import Served
from appliance.lib.priority import Priority
from appliance.processes.bench.box import Box
from appliance.processes.bench.rows import Row, percentile

MODELS, LOADED, WAITERS, ROUNDS = 50, 20, 20, 100
DEVICES = ("GPU-1", "GPU-2")
ROOMS: Mapping[str, Room] = {**{name: Room(80 * GIB, 0) for name in DEVICES}, MACHINE: Room(256 * GIB, 0)}
_AGO = 30.0
"""Seconds since what is loaded was loaded: so lately, and for so urgent work, that nobody may have its place."""
_DEADLINE, _LEFT = 600.0, 120.0
"""Seconds. So little is left that another model would do, and enough to load one."""


def scheduler(box: Box) -> list[Row]:
    """The box is not needed."""
    return measured(ROUNDS)


def measured(rounds: int) -> list[Row]:
    """In the processor's time: nothing of this waits. A look decides about all who wait."""
    now = time.monotonic()
    models, line = crowded(now), waiting(now)
    took: list[float] = []
    looks: list[float] = []
    for _ in range(rounds):
        looked = time.thread_time()
        for waiter in line:
            began = time.thread_time()
            decide(waiter, models, ROOMS, now)
            took.append(time.thread_time() - began)
        looks.append(time.thread_time() - looked)
    return [
        Row("scheduler_decide_us", round(percentile(took, 0.95) * 1e6, 1), "us", "lower", 1000),
        Row("scheduler_look_us", round(percentile(looks, 0.5) * 1e6, 1), "us", "lower"),
    ]


def crowded(now: float) -> dict[str, Instance]:
    """Twenty are loaded and at work; of the others each would need the place of some, and some are in quarantine."""
    found: dict[str, Instance] = {}
    for number in range(MODELS):
        size = 4 if number < LOADED else 40
        one = Instance(_served(number, size), Footprint(size * GIB, GIB), load_seconds=20.0)
        if number < LOADED:
            one.state, one.loaded_at, one.last_used = InstanceState.READY, now - _AGO, now
            one.held = {"1": Held("1", "user:ann", Priority.CRITICAL.rank, now, now)}
        elif number % 10 == 0:
            one.state, one.reason = InstanceState.QUARANTINED, "it died five times"
        found[one.name] = one
    return found


def waiting(now: float) -> list[Waiter]:
    """Of every priority. Any model would do, so that each of them is looked at."""
    line, names = Line(), tuple(f"model-{number}" for number in range(MODELS))
    ranks = tuple(Priority)
    for number in range(WAITERS):
        wish = Wish(
            principal=f"user:{number}",
            tokens=1000,
            priority=ranks[number % len(ranks)],
            deadline=_DEADLINE,
        )
        line.join(wish, names, now - _DEADLINE + _LEFT)
    return list(line)


def _served(number: int, size: int) -> Served:
    file = ModelFile(path="model.gguf", size=size * GIB, sha256=f"{number:064x}")
    manifest = Manifest(
        name=f"model-{number}",
        version="1",
        format=ModelFormat.GGUF,
        files=(file,),
        main=file.path,
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    profile = Profile(EngineKind.LLAMACPP, context=8192, slots=1, device=DEVICES[number % len(DEVICES)])
    return Served(manifest, Path("/models"), profile)
