"""A keeper of models with engines that do as they are told: nothing is loaded, time stands until it is moved."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.inference.backends.contract import (
    Dialect,
    Footprint,
    Plan,
    Probe,
    Profile,
    Readiness,
    Running,
    Sign,
    Stats,
)
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.domain import EngineKind, InstanceState, ModelFormat
from appliance.inference.errors import ModelUnknown
from appliance.inference.hardware.domain import Accelerator, Hardware, Processor, Vendor
from appliance.inference.leases import Granted, News, RefusedLease, Wish
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.ports import Change, Learned, Served
from appliance.lib.clock import ManualClock
from tests.wait import wait_for_async

GIB = 1 << 30
GPU = "GPU-1"


def served(name: str, size: int = 4, **given: object) -> Served:
    """A model of ``size`` GiB on the device."""
    made = Manifest(
        name=name,
        version="1",
        format=ModelFormat.GGUF,
        files=(ModelFile(path="model.gguf", size=size * GIB, sha256=f"{abs(hash(name)):064x}"[:64]),),
        main="model.gguf",
        tools=True,
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    profile = Profile(EngineKind.LLAMACPP, context=4096, slots=int(str(given.pop("slots", 1))), device=GPU)
    return Served(made, Path("/models"), profile, **given)  # type: ignore[arg-type]


@dataclass
class Engine:
    """What one model's engine says of itself, and what happened to it."""

    readiness: Readiness = field(default_factory=lambda: Readiness(Sign.READY))
    wrong: str = ""
    """What a real completion gives."""
    starts: int = 0
    stops: int = 0
    stats: Stats = field(default_factory=Stats)
    nonsense: bool = False
    """Its figures are no numbers."""
    weighed: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set unless it takes its time to end."""

    def __post_init__(self) -> None:
        self.stopping.set()


class EngineRoom:
    """Backend and trial in one, over ``engines`` by the model's name."""

    kind = EngineKind.LLAMACPP
    formats = frozenset({ModelFormat.GGUF})
    dialect = Dialect(frozenset(), lambda body: body, lambda status, body: "")

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}
        self.left: list[Running] = []
        """What runs from an earlier life."""
        self.taken: dict[str, int] = {}
        """Bytes on the device, by the handle of what runs."""

    def of(self, name: str) -> Engine:
        return self.engines.setdefault(name, Engine())

    async def probe(self) -> Probe:
        return Probe(True)

    def plan(
        self,
        model: Manifest,
        folder: Path,
        profile: Profile,
        hardware: Hardware,
        learned: Footprint | None,
    ) -> Plan:
        return Plan(model, folder, profile, learned or Footprint(model.size, 0), ("engine", model.name))

    async def start(self, plan: Plan, generation: int) -> Running:
        self.of(plan.model.name).starts += 1
        url = f"http://127.0.0.1:{generation}"
        self.taken[str(generation)] = plan.footprint.device
        return Running(plan.model.name, generation, url, str(generation), datetime.now(UTC))

    async def ready(self, running: Running) -> Readiness:
        return self.of(running.name).readiness

    async def stop(self, running: Running, grace: float) -> None:
        await self.of(running.name).stopping.wait()
        self.of(running.name).stops += 1
        self.taken.pop(running.handle, None)

    async def stats(self, running: Running) -> Stats:
        engine = self.of(running.name)
        engine.weighed += 1
        return Stats(memory=int(float("nan"))) if engine.nonsense else engine.stats

    async def found(self) -> list[Running]:
        return self.left

    async def close(self) -> None:
        pass

    async def completes(self, served: Served, running: Running) -> str:
        return self.of(served.name).wrong


class Records:
    """The ledger, in memory."""

    def __init__(self) -> None:
        self.generation = 0
        self.changes: list[Change] = []
        self.known: dict[str, Learned] = {}

    async def next_generation(self) -> int:
        self.generation += 1
        return self.generation

    async def changed(self, change: Change) -> None:
        self.changes.append(change)

    async def learned(self, served: Served) -> Learned:
        return self.known.get(served.name, Learned(None, None))

    async def learn(self, served: Served, learned: Learned) -> None:
        self.known[served.name] = learned


class Shelf:
    """What is served; a wish without a name gets all of them, in order."""

    def __init__(self, models: Sequence[Served]) -> None:
        self.models = list(models)

    async def served(self) -> Sequence[Served]:
        return self.models

    def chain(self, wish: Wish) -> Sequence[str]:
        names = [one.name for one in self.models]
        if wish.model and wish.model not in names:
            raise ModelUnknown(f"there is no model {wish.model}")
        return [wish.model] if wish.model else names


class Room:
    """A keeper at work on a device of 24 GiB (21.6 to give out), and a machine of 64. ``driver``: the device's driver
    says what is taken, at each reading what it was at the one before."""

    def __init__(self, *models: Served, silence: float = 120.0, driver: bool = False) -> None:
        self.clock = ManualClock()
        self.stopped = ""
        self.engines = EngineRoom()
        self.records = Records()
        self.shelf = Shelf(models)
        device = Accelerator(GPU, Vendor.NVIDIA, "gpu", memory_total=24 * GIB, memory_used=0)
        self.hardware = Hardware(Processor("cpu", 2), 64 * GIB, 60 * GIB, (device,))
        self.driver, self._was_taken = driver, 0
        self.keeper = Keeper(
            self.shelf,
            self.records,
            {EngineKind.LLAMACPP: self.engines},
            self._hardware,
            self.engines,
            self.clock,
            silence=silence,
            stopped=lambda: self.stopped,
        )
        self.task: asyncio.Task[None] | None = None

    async def _hardware(self) -> Hardware:
        if not self.driver:
            return self.hardware
        device = replace(self.hardware.accelerators[0], memory_used=self._was_taken)
        self._was_taken = sum(self.engines.taken.values())
        return replace(self.hardware, accelerators=(device,))

    async def __aenter__(self) -> "Room":
        self.task = asyncio.create_task(self.keeper.run())
        await wait_for_async(lambda: bool(self.keeper.roster.instances) or not self.shelf.models)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def state(self, name: str) -> InstanceState:
        return self.keeper.roster.instances[name].state

    async def until(self, name: str, state: InstanceState) -> None:
        await wait_for_async(lambda: self.state(name) is state)

    def advance(self, seconds: float) -> None:
        """Time passes, and everybody is looked at."""
        self.clock.advance(timedelta(seconds=seconds))
        self.keeper.look()

    async def ask(self, model: str = "", **given: object) -> Granted | RefusedLease:
        """The end of a wish."""
        last = [news async for news in self.listen(model, **given)][-1]
        assert isinstance(last, Granted | RefusedLease)
        return last

    def listen(self, model: str = "", **given: object):  # type: ignore[no-untyped-def]
        wish = Wish(model=model, principal=str(given.pop("principal", "user:ana")), **given)
        return self.keeper.lease(wish)


__all__ = ["GIB", "Engine", "News", "Room", "served"]
