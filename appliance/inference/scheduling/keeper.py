"""The keeper of models: the one place that decides what is loaded. One loop, one writer, no lock.

What happens (a wish, the end of a lease, what a life saw, the clock) changes the state at once, without waiting for
anything, and asks for a look. A look decides about everybody who waits. What takes time is a task that calls back, and
counts only as long as the life that it speaks of goes on.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from appliance.inference.backends.contract import Backend
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.errors import ModelBusy, ModelUnavailable
from appliance.inference.hardware.domain import Hardware
from appliance.inference.leases import (
    Beat,
    Granted,
    News,
    Order,
    Verb,
    View,
    Waiting,
    Wish,
)
from appliance.inference.scheduling.adopting import adopt
from appliance.inference.scheduling.answers import chosen, refusal
from appliance.inference.scheduling.deciding import Decision, Move, can_load, decide
from appliance.inference.scheduling.instance import Held, Instance
from appliance.inference.scheduling.life import End
from appliance.inference.scheduling.line import Line, Waiter
from appliance.inference.scheduling.memory import Room, rooms
from appliance.inference.scheduling.ports import Ledger, Shelf, Trial
from appliance.inference.scheduling.roster import Roster
from appliance.inference.scheduling.viewing import seen, spaces
from appliance.lib.cancelling import end
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
REFRESH_EVERY = 5.0
SILENCE = 120.0
"""Seconds without a word of a lease's client that tokens come, after which the engine counts as standing still."""


class Keeper:
    """``hardware`` is asked again and again: what other programs take of a device changes.

    ``stopped`` says why no model may be at work now; empty where they may."""

    def __init__(
        self,
        shelf: Shelf,
        ledger: Ledger,
        backends: Mapping[EngineKind, Backend],
        hardware: Callable[[], Awaitable[Hardware]],
        trial: Trial,
        clock: Clock,
        *,
        silence: float = SILENCE,
        stopped: Callable[[], str] = lambda: "",
    ) -> None:
        self._shelf = shelf
        self._backends = backends
        self._read_hardware = hardware
        self._clock = clock
        self._silence = silence
        self._stopped = stopped
        self._adopted = False
        self._one_refresh = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._line = Line()
        self.roster = Roster(backends, ledger, trial, clock, self._wake.set)
        self._leases: dict[str, Instance] = {}
        self._hardware: Hardware | None = None
        self._rooms: Mapping[str, Room] = {}
        self._refreshed = float("-inf")

    @property
    def waiting(self) -> int:
        """How many wait for a model."""
        return len(self._line)

    # --- the loop ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep until cancelled; the engines then go on, and are adopted by the next keeper."""
        writer = asyncio.create_task(self.roster.write())
        try:
            while True:
                self._wake.clear()
                self._refresh_at_times()
                self.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY):
                        await self._wake.wait()
        finally:
            if self._refreshing is not None:
                await end({self._refreshing})
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self.roster.close(keep=True)

    async def refresh(self) -> None:
        """Read anew what is to be served, and what the machine has."""
        async with self._one_refresh:
            self._refreshed = self._clock.monotonic()
            hardware = await self._read_hardware()
            self._hardware, self._rooms = hardware, rooms(hardware)
            await self.roster.refresh(await self._shelf.served())
            if not self._adopted:
                await adopt(self.roster, self._backends, hardware)
                self._adopted = True
        self._wake.set()

    def changed(self) -> None:
        """What is to be served is another, or may be: read it soon."""
        self._refreshed = float("-inf")
        self._wake.set()

    def _refresh_at_times(self) -> None:
        """Beside the loop: a database that is away holds up nobody."""
        due = self._clock.monotonic() - self._refreshed >= REFRESH_EVERY
        if due and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._try_to_refresh())

    async def _try_to_refresh(self) -> None:
        try:
            await self.refresh()
        except Exception:
            log.exception("what is to be served could not be read; it stays as it is")

    def look(self) -> None:
        """Decide about everybody who waits, the most urgent first, and let go what nobody uses."""
        now = self._clock.monotonic()
        if why := self._stopped():
            self._stand_still(why)
            return
        for waiter in self._line.late(now):
            self._refuse(waiter, "no model could answer in time")
        if not self._adopted:
            return  # an engine that runs already is not loaded beside itself
        for waiter in self._line:
            self._carry_out(waiter, decide(waiter, self.roster.instances, self._rooms, now), now)
        for instance in list(self.roster.instances.values()):
            self._let_go(instance, now)
            self._warm(instance, now)

    def _stand_still(self, why: str) -> None:
        for waiter in self._line:
            self._line.leave(waiter)
            waiter.news.put_nowait(refusal(ModelUnavailable(why)))
        self.roster.stop_all(why)

    def _carry_out(self, waiter: Waiter, decision: Decision, now: float) -> None:
        waiter.rejected.update(decision.rejected)
        if decision.move is Move.REFUSE:
            self._refuse(waiter, "no model can answer this")
        elif decision.move is Move.GRANT:
            self._grant(waiter, self.roster.instances[decision.name], now)
        else:
            for name in decision.evict:
                self.roster.drain(name, f"{decision.name} needs the memory")
            if decision.move is Move.LOAD and not decision.evict and self._hardware is not None:
                self.roster.load(decision.name, self._hardware)
            self._say(waiter, decision)

    def _let_go(self, instance: Instance, now: float) -> None:
        if instance.state is not InstanceState.READY:
            return
        silent = [one for one in instance.held.values() if now - one.told >= self._silence]
        if silent:
            why = f"no token for {self._silence:.0f} s in {len(silent)} answers"
            self.roster.fail(instance, End(why))
            return
        keep = instance.served.keep_alive
        wanted = self._line.for_model(instance.name)
        if keep is not None and not instance.held and not wanted and now - instance.last_used >= keep:
            self.roster.drain(instance.name, f"nobody used it for {keep:.0f} s")

    def _warm(self, instance: Instance, now: float) -> None:
        """What is to be there always is loaded before anybody asks, where it drives nobody out."""
        pinned = instance.served.keep_alive is None
        resting = instance.state not in (InstanceState.ABSENT, InstanceState.FAILED)
        if not pinned or resting or instance.standing.rests(now) or self._hardware is None:
            return
        if can_load(instance, self.roster.instances, self._rooms, now):
            self.roster.load(instance.name, self._hardware)

    # --- people -----------------------------------------------------------------------------------

    def obey(self, order: Order) -> None:
        """Load, unload or free a model. Raises KeyError where it is not served, ModelUnavailable where it cannot be."""
        instance = self.roster.instances[order.model]
        now, why = self._clock.monotonic(), self._stopped()
        if why and order.verb is Verb.LOAD:
            raise ModelUnavailable(why)
        if order.verb is Verb.FREE:
            self.roster.free(order.model)
        elif order.verb is Verb.UNLOAD:
            self.roster.drain(order.model, f"{order.principal} said so")
        elif instance.state in (InstanceState.ABSENT, InstanceState.FAILED) and self._hardware is not None:
            if not can_load(instance, self.roster.instances, self._rooms, now):
                raise ModelUnavailable(
                    f"there is no room for {order.model} now", hint="unload another one, or wait"
                )
            self.roster.load(order.model, self._hardware)

    def view(self) -> View:
        now = self._clock.monotonic()
        return View(
            models=tuple(seen(one, self._line, now) for one in self.roster.instances.values()),
            spaces=spaces(self._rooms, self.roster.instances, now),
            waiting=len(self._line),
        )

    # --- leases -----------------------------------------------------------------------------------

    async def lease(self, wish: Wish) -> AsyncGenerator[News, None]:
        """What the client is to hear, until it is granted or refused. Whoever stops listening leaves the line.

        The lease itself ends by ``release``.
        """
        try:
            waiter = self._line.join(wish, tuple(self._shelf.chain(wish)), self._clock.monotonic())
        except MillwrightError as error:
            yield refusal(error)
            return
        self._wake.set()
        try:
            while True:
                news = await waiter.news.get()
                yield news
                if not isinstance(news, Waiting):
                    return
        finally:
            self._line.leave(waiter)

    def beat(self, lease: str, beat: Beat) -> None:
        """The client of a lease says how far it is. Of a lease that ended with its engine it says nothing any more."""
        instance = self._leases.get(lease)
        held = instance.held.get(lease) if instance else None
        if instance is None or held is None:
            return
        now = self._clock.monotonic()
        if beat.failed:
            if instance.standing.strike():
                self.roster.fail(instance, End(beat.failed))
            return
        if beat.done:
            instance.standing.works()
        held.tokens, held.told = beat.tokens, now

    def release(self, lease: str) -> None:
        instance = self._leases.pop(lease, None)
        held = instance.held.pop(lease, None) if instance else None
        if instance is None or held is None:
            return
        instance.last_used, instance.rank = self._clock.monotonic(), held.rank
        self.roster.stop_if_idle(instance)
        self._wake.set()

    def _grant(self, waiter: Waiter, instance: Instance, now: float) -> None:
        assert instance.running is not None
        assert instance.plan is not None
        lease = secrets.token_hex(16)
        wish, served = waiter.wish, instance.served
        instance.held[lease] = Held(lease, wish.principal, wish.priority.rank, now, now)
        instance.last_used = now
        self._leases[lease] = instance
        self._line.leave(waiter)
        waiter.news.put_nowait(
            Granted(
                lease=lease,
                url=instance.running.url,
                key=instance.running.key,
                served_name=instance.running.served_as or served.manifest.name,
                context=served.profile.context,
                slots=served.profile.slots,
                generation=instance.generation,
                chosen=chosen(waiter, instance),
            )
        )

    def _refuse(self, waiter: Waiter, head: str) -> None:
        self._line.leave(waiter)
        said = "; ".join(f"{name}: {why}" for name, why in waiter.rejected.items())
        late = waiter.until <= self._clock.monotonic()
        error: MillwrightError = (
            ModelBusy(f"{head}: {said or waiter.said or 'all are at work'}")
            if late
            else ModelUnavailable(f"{head}: {said or 'nothing is served for this work'}")
        )
        waiter.news.put_nowait(refusal(error))

    def _say(self, waiter: Waiter, decision: Decision) -> None:
        said = f"{decision.why} {decision.name}"
        if said != waiter.said:
            waiter.said = said
            ahead = sum(other.order < waiter.order for other in self._line)
            waiter.news.put_nowait(Waiting(why=decision.why, place=ahead + 1, expected=decision.expected))
