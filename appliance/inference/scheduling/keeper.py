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
from appliance.inference.errors import KeeperAway, ModelUnavailable
from appliance.inference.hardware.domain import Hardware
from appliance.inference.leases import (
    Beat,
    News,
    Order,
    Outcome,
    Verb,
    View,
    Waiting,
    Wish,
)
from appliance.inference.scheduling.adopting import adopt
from appliance.inference.scheduling.answers import granted, none, refusal
from appliance.inference.scheduling.deciding import Decision, Move, can_load, decide
from appliance.inference.scheduling.decisions import Decisions
from appliance.inference.scheduling.instance import Held, Instance
from appliance.inference.scheduling.life import End
from appliance.inference.scheduling.line import Line, Waiter
from appliance.inference.scheduling.memory import Room, rooms
from appliance.inference.scheduling.ports import WENT_FOR, Ledger, Served, Shelf, Trial
from appliance.inference.scheduling.roster import Roster
from appliance.inference.scheduling.viewing import queue, seen, spaces
from appliance.lib.cancelling import end
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
REFRESH_EVERY = 5.0
SILENCE = 120.0
"""Seconds without a word of a lease's client that tokens come, after which the engine counts as standing still."""
FIRST_READ = 15.0
"""Seconds that who asks early waits until a keeper that has just begun knows what it serves."""


class Keeper:
    """``hardware`` is asked again and again: what other programs take of a device changes.

    ``stopped`` says why no model may be at work now, ``bar`` of one why nobody may have it; empty where they may."""

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
        bar: Callable[[Served], str] = lambda _: "",
        barred: str = "",
    ) -> None:
        self._shelf = shelf
        self._backends = backends
        self._read_hardware = hardware
        self._clock = clock
        self._silence = silence
        self._stopped = stopped
        self._adopted = False
        self._knows = asyncio.Event()
        self._one_refresh = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._line = Line()
        self._barred = barred
        self._decisions = Decisions(clock)
        self.roster = Roster(backends, ledger, trial, clock, self._wake.set, bar)
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
            self._knows.set()
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
            head = "no model could answer in time"
            self._refuse(waiter, head, none(waiter, head, late=True))
        if not self._adopted:
            return  # an engine that runs already is not loaded beside itself
        for waiter in self._line:
            self._carry_out(waiter, self._decide(waiter, now), now)
        for instance in list(self.roster.instances.values()):
            self._let_go(instance, now)
            self._warm(instance, now)

    def _decide(self, waiter: Waiter, now: float) -> Decision:
        return decide(waiter, self.roster.instances, self._rooms, now, self.roster.freed_at)

    def _stand_still(self, why: str) -> None:
        for waiter in self._line:
            self._refuse(waiter, why, ModelUnavailable(why))
        self.roster.stop_all(why)

    def _carry_out(self, waiter: Waiter, decision: Decision, now: float) -> None:
        waiter.rejected.update(decision.rejected)
        if decision.move is Move.REFUSE:
            head = "no model can answer this"
            self._refuse(waiter, head, none(waiter, head, late=waiter.until <= now))
        elif decision.move is Move.GRANT:
            self._grant(waiter, self.roster.instances[decision.name], now)
        else:
            for name in decision.evict:
                self._evict(name, f"{decision.name}{WENT_FOR}")
            if decision.move is Move.LOAD and not decision.evict and self._hardware is not None:
                self.roster.load(decision.name, self._hardware)
            self._say(waiter, decision)

    def _let_go(self, instance: Instance, now: float) -> None:
        if instance.state not in (InstanceState.READY, InstanceState.DRAINING):
            return
        silent = [one for one in instance.held.values() if now - one.told >= self._silence]
        if silent:
            why = f"no token for {self._silence:.0f} s in {len(silent)} answers"
            self.roster.fail(instance, End(why))
            return
        if instance.state is InstanceState.DRAINING:
            return
        keep = instance.served.keep_alive
        wanted = self._line.for_model(instance.name)
        if keep is not None and not instance.held and not wanted and now - instance.last_used >= keep:
            self._evict(instance.name, f"nobody used it for {keep:.0f} s")

    def _evict(self, name: str, reason: str) -> None:
        self._decisions.evicted(name, reason)
        self.roster.evict(name, reason)

    def _warm(self, instance: Instance, now: float) -> None:
        """What is to be there always is loaded before anybody asks, where it drives nobody out."""
        pinned = instance.served.keep_alive is None
        resting = instance.state not in (InstanceState.ABSENT, InstanceState.FAILED)
        if not pinned or resting or instance.barred or self._hardware is None:
            return
        if instance.standing.rests(now):
            return
        if can_load(instance, self.roster.instances, self._rooms, now):
            self.roster.load(instance.name, self._hardware)

    # --- people -----------------------------------------------------------------------------------

    def obey(self, order: Order) -> None:
        """Load, unload or free a model. Raises KeyError where it is not served, ModelUnavailable where it cannot be."""
        instance = self.roster.instances[order.model]
        now, why = self._clock.monotonic(), self._stopped()
        why = why or instance.barred
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
            queue=queue(self._line, now),
            decisions=tuple(self._decisions),
            barred=self._barred,
        )

    # --- leases -----------------------------------------------------------------------------------

    async def lease(self, wish: Wish) -> AsyncGenerator[News, None]:
        """What the client is to hear, until it is granted or refused. Whoever stops listening leaves the line.

        The lease itself ends by ``release``.
        """
        try:
            await self._known(wish)
            waiter = self._line.join(wish, tuple(self._shelf.chain(wish)), self._clock.monotonic())
        except MillwrightError as error:
            self._decisions.about(wish, Outcome.REFUSED, error.message)
            yield refusal(error)
            return
        self._grant_at_once(waiter)
        try:
            while True:
                news = await waiter.news.get()
                yield news
                if not isinstance(news, Waiting):
                    return
        finally:
            self._line.leave(waiter)

    async def _known(self, wish: Wish) -> None:
        """Before the first read nothing is served, which is not to say that it will not be. Raises KeeperAway."""
        if self._knows.is_set():
            return
        if why := self._stopped():
            raise ModelUnavailable(why)
        try:
            async with asyncio.timeout(min(FIRST_READ, wish.deadline)):
                await self._knows.wait()
        except TimeoutError:
            raise KeeperAway("the keeper of models does not know yet what it serves") from None

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
        instance.pace.add(beat.tokens - held.tokens, now)
        if beat.done:
            instance.standing.works()
            instance.pace.ended(beat.tokens, now - held.since)
        held.tokens, held.told = beat.tokens, now

    def release(self, lease: str) -> None:
        instance = self._leases.pop(lease, None)
        held = instance.held.pop(lease, None) if instance else None
        if instance is None or held is None:
            return
        instance.last_used, instance.rank = self._clock.monotonic(), held.rank
        self.roster.stop_if_idle(instance)
        if self._line:
            self._wake.set()

    def _grant_at_once(self, waiter: Waiter) -> None:
        """Where nobody else waits, so that nobody is passed over: without the look that decides about all."""
        if len(self._line) == 1 and self._adopted and not self._stopped():
            now = self._clock.monotonic()
            decision = self._decide(waiter, now)
            if decision.move is Move.GRANT:
                self._carry_out(waiter, decision, now)
                return
        self._wake.set()

    def _grant(self, waiter: Waiter, instance: Instance, now: float) -> None:
        wish, lease = waiter.wish, secrets.token_hex(16)
        news = granted(waiter, instance, lease)
        instance.held[lease] = Held(lease, wish.principal, wish.priority.rank, now, now)
        instance.last_used = now
        self._leases[lease] = instance
        self._line.leave(waiter)
        waiter.news.put_nowait(news)
        chosen = news.chosen
        outcome = Outcome.FELL_BACK if chosen.rejected else Outcome.GRANTED
        self._decisions.about(
            wish, outcome, chosen.reason, model=instance.name, rejected=dict(chosen.rejected)
        )

    def _refuse(self, waiter: Waiter, head: str, error: MillwrightError) -> None:
        self._line.leave(waiter)
        waiter.news.put_nowait(refusal(error))
        self._decisions.about(waiter.wish, Outcome.REFUSED, head, rejected=waiter.rejected)

    def _say(self, waiter: Waiter, decision: Decision) -> None:
        """Where it waits for something else than before."""
        waiter.expected = decision.expected
        if (waiter.why, waiter.wanted) == (decision.why, decision.name):
            return
        waiter.why, waiter.wanted = decision.why, decision.name
        ahead = sum(other.order < waiter.order for other in self._line)
        waiter.news.put_nowait(Waiting(why=decision.why, place=ahead + 1, expected=decision.expected))
        self._decisions.about(
            waiter.wish, Outcome.WAITED, decision.why, model=decision.name, rejected=waiter.rejected
        )
