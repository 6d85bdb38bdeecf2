"""The instances and their lives: every change of a state is made here, at once, and written down in order."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from appliance.inference.backends.contract import Backend, Running, Stats
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.hardware.domain import Hardware
from appliance.inference.scheduling.instance import LIVING, Instance
from appliance.inference.scheduling.life import End, Life, Told
from appliance.inference.scheduling.memory import estimate, taken_at_work
from appliance.inference.scheduling.ports import Change, Learned, Ledger, Served, Trial
from appliance.inference.scheduling.standing import Standing, died
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)
_COMING = (InstanceState.CREATING, InstanceState.LOADING)


@dataclass(eq=False, slots=True)
class _Lived:
    life: Life
    task: asyncio.Task[None]


class Roster:
    """``look`` is called whenever something has changed that somebody may wait for; ``bar`` says of a model why nobody
    may have it."""

    def __init__(
        self,
        backends: Mapping[EngineKind, Backend],
        ledger: Ledger,
        trial: Trial,
        clock: Clock,
        look: Callable[[], None],
        bar: Callable[[Served], str] = lambda _: "",
    ) -> None:
        self.instances: dict[str, Instance] = {}
        self.loads: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        """By the model's name, since the keeper began."""
        self.freed_at = float("-inf")
        """When the last engine ended, monotonic."""
        self._backends = backends
        self._ledger = ledger
        self._trial = trial
        self._clock = clock
        self._look = look
        self._bar = bar
        self._lives: dict[str, _Lived] = {}
        self._next: dict[str, Instance | None] = {}
        """What takes the place of one that is still going; None: nothing."""
        self._ends: set[asyncio.Task[None]] = set()
        self._records: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()

    # --- what is served ---------------------------------------------------------------------------

    async def refresh(self, served: Sequence[Served]) -> None:
        """Make the instances those that are to be served. What changed or went drains; its requests may end, and what
        follows it stands in its place at that very moment, so that nobody who waits has the old one loaded again."""
        wanted = {one.name: one for one in served}
        known = {name: await self._ledger.learned(one) for name, one in wanted.items()}
        self._next.clear()
        for name, instance in list(self.instances.items()):
            one = wanted.get(name)
            if one == instance.served:
                continue
            reason = "it is not served any more" if one is None else "it is served in another way"
            self.drain(name, reason)
            self._next[name] = None if one is None else self._new(one, known[name])
            if instance.state not in LIVING:
                self._follow(instance)
        for name, one in wanted.items():
            if name not in self.instances:
                self.instances[name] = self._new(one, known[name])

    def _new(self, served: Served, took: Learned) -> Instance:
        footprint = took.footprint or estimate(served.manifest, served.profile)
        return Instance(served, footprint, took.load_seconds, barred=self._bar(served))

    def _follow(self, gone: Instance) -> None:
        """What is to stand in the place of one that is gone, where it is to be another."""
        if gone.name not in self._next or self.instances.get(gone.name) is not gone:
            return
        following = self._next.pop(gone.name)
        if following is None:
            del self.instances[gone.name]
        else:
            self.instances[gone.name] = following

    # --- lives ------------------------------------------------------------------------------------

    def load(self, name: str, hardware: Hardware, *, adopted: Running | None = None) -> None:
        """Begin a life. A plan that cannot be made is a failure like any other."""
        instance = self.instances[name]
        instance.epoch += 1
        self._set(instance, InstanceState.CREATING, "adopted" if adopted else "somebody asks for it")
        backend = self._backends.get(instance.served.profile.engine)
        try:
            if backend is None:
                raise MillwrightError(f"there is no backend {instance.served.profile.engine.value} here")
            learned = instance.footprint if instance.footprint.measured else None
            plan = backend.plan(
                instance.served.manifest, instance.served.folder, instance.served.profile, hardware, learned
            )
        except MillwrightError as error:
            self._ended(instance, instance.epoch, End(str(error)))
            return
        instance.plan = plan
        if not instance.footprint.measured:
            instance.footprint = plan.footprint
        told = self._told(instance, instance.epoch)
        life = Life(instance.served, backend, plan, self._trial, self._clock, told, adopted=adopted)
        task = asyncio.create_task(life.live(self._ledger.next_generation))
        self._lives[name] = _Lived(life, task)

    def drain(self, name: str, reason: str) -> None:
        """No new request; stopped as soon as none is under way."""
        instance = self.instances[name]
        if instance.state in (*_COMING, InstanceState.READY):
            self._set(instance, InstanceState.DRAINING, reason)
            self.stop_if_idle(instance)

    def evict(self, name: str, reason: str) -> None:
        """Make it go for another one: answers end first, and the tests of a candidate are broken off."""
        instance = self.instances[name]
        if instance.served.candidate and instance.state in (*_COMING, InstanceState.READY):
            self._stop(instance, InstanceState.ABSENT, reason)
        else:
            self.drain(name, reason)

    def stop_if_idle(self, instance: Instance) -> None:
        if instance.state is InstanceState.DRAINING and not instance.held:
            self._stop(instance, InstanceState.ABSENT, instance.reason)

    def stop_all(self, reason: str) -> None:
        """End every life at once, whatever is under way. One that ended by itself just before did not fail."""
        for instance in self.instances.values():
            if instance.state is InstanceState.STOPPING:
                continue
            if instance.state in LIVING:
                self._stop(instance, InstanceState.ABSENT, reason)
            elif instance.state is InstanceState.FAILED:
                instance.standing = Standing()
                self._set(instance, InstanceState.ABSENT, reason)

    def fail(self, instance: Instance, end: End) -> None:
        """It has to be made anew: it lies, or stands still."""
        self._ended(instance, instance.epoch, end)

    def free(self, name: str) -> None:
        """Out of quarantine, by a person."""
        instance = self.instances[name]
        if instance.state is InstanceState.QUARANTINED:
            instance.standing = Standing()
            self._set(instance, InstanceState.ABSENT, "let out of quarantine")

    async def close(self, *, keep: bool) -> None:
        """End all lives. ``keep``: the engines go on, for the next life of the keeper to adopt."""
        if not keep:
            self.stop_all("the box is stopped")
        for lived in self._lives.values():
            lived.task.cancel()
        await asyncio.gather(*(lived.task for lived in self._lives.values()), return_exceptions=True)
        await asyncio.gather(*self._ends)
        await self.written()

    def _told(self, instance: Instance, epoch: int) -> Told:
        """What a life may say; nothing of it counts once another has begun."""

        def current() -> bool:
            return instance.epoch == epoch and instance.state in LIVING

        def started(running: Running) -> None:
            if current():
                instance.running, instance.generation = running, running.generation
                if instance.state is InstanceState.CREATING:
                    self._set(instance, InstanceState.LOADING, "it loads")

        def progress(text: str) -> None:
            instance.progress = text if current() else instance.progress

        def ready() -> None:
            if current() and instance.state is InstanceState.LOADING:
                self._ready(instance)

        def bad(why: str) -> None:
            if current() and instance.state is InstanceState.READY and instance.standing.strike():
                self._ended(instance, epoch, End(why))

        def good() -> None:
            if current():
                instance.standing.works()

        def took(stats: Stats) -> None:
            if current():
                self._measured(instance, stats)

        def idle(seconds: float) -> bool:
            return not instance.held and self._clock.monotonic() - instance.last_used >= seconds

        return Told(started, progress, ready, bad, good, partial(self._ended, instance, epoch), idle, took)

    def _ready(self, instance: Instance) -> None:
        now = self._clock.monotonic()
        if instance.generation:
            instance.load_seconds = now - instance.since
        instance.loaded_at = instance.last_used = now
        instance.standing.works()
        self.loads[instance.name] += 1
        self._set(instance, InstanceState.READY, "a real answer came")
        learned = Learned(instance.footprint if instance.footprint.measured else None, instance.load_seconds)
        self._records.put_nowait(partial(self._ledger.learn, instance.served, learned))

    def _measured(self, instance: Instance, stats: Stats) -> None:
        """What it was seen to take, from now on in the place of the estimate; the most that was ever seen."""
        seen = taken_at_work(instance.served.manifest, instance.served.profile, instance.footprint, stats)
        if seen is None or seen == instance.footprint:
            return
        instance.footprint = seen
        learned = Learned(instance.footprint, instance.load_seconds)
        self._records.put_nowait(partial(self._ledger.learn, instance.served, learned))

    def _ended(self, instance: Instance, epoch: int, end: End) -> None:
        if instance.epoch != epoch or instance.state not in LIVING:
            return
        if instance.state in (InstanceState.DRAINING, InstanceState.STOPPING):
            self._stop(instance, InstanceState.ABSENT, instance.reason)
            return
        self.failures[instance.name] += 1
        dead = died(end.exit_status, end.out_of_memory)
        reason = f"out of memory: {end.reason}" if end.out_of_memory else end.reason
        alone = instance.standing.failed(self._clock.monotonic(), dead=dead)
        self._stop(instance, InstanceState.QUARANTINED if alone else InstanceState.FAILED, reason)

    def _stop(self, instance: Instance, after: InstanceState, reason: str) -> None:
        """End the life, and only then be what is ``after``: until it is gone its memory is not free."""
        instance.epoch += 1
        instance.held.clear()
        self._set(instance, InstanceState.STOPPING, reason)
        task = asyncio.create_task(self._end(instance, instance.epoch, after, reason))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _end(self, instance: Instance, epoch: int, after: InstanceState, reason: str) -> None:
        lived = self._lives.pop(instance.name, None)
        if lived is not None:
            lived.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await lived.task
            await lived.life.end()
            self.freed_at = self._clock.monotonic()
        if instance.epoch == epoch:
            instance.running, instance.plan, instance.generation = None, None, 0
            self._set(instance, after, reason)
            self._follow(instance)

    # --- the record -------------------------------------------------------------------------------

    def _set(self, instance: Instance, state: InstanceState, reason: str) -> None:
        instance.state, instance.reason, instance.progress = state, reason, ""
        instance.since = self._clock.monotonic()
        version = instance.served.manifest.version
        change = Change(instance.name, version, instance.generation, state, reason[:1000], self._clock.now())
        self._records.put_nowait(partial(self._ledger.changed, change))
        log.info("model %s is %s: %s", instance.name, state.value, reason)
        self._look()

    async def write(self) -> None:
        """Write the record, one after another, for ever. What cannot be written now is written later."""
        while True:
            record = await self._records.get()
            await self._written(record)
            self._records.task_done()

    async def _written(self, record: Callable[[], Awaitable[None]]) -> None:
        try:
            await record()
        except Exception:
            # The box serves models with its database away; the states on the screen are the keeper's own.
            log.exception("a change of a model could not be written down")

    async def written(self) -> None:
        """All that has happened so far is written, where somebody writes."""
        while not self._records.empty():
            await self._written(self._records.get_nowait())
