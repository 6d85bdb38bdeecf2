"""The reactor: MQTT and the journal's events in, the outbox out, chat bridges, and the reconciler."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Sequence
from uuid import UUID

from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.bus.ports import Delivery
from appliance.devices.readings.domain import Wanted
from appliance.events import BoxStarted
from appliance.events.hints import Hinter
from appliance.events.services import record_async
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.lib.duties import do_each
from appliance.lib.in_django import in_django
from appliance.outbox.network.domain import Edge
from appliance.processes.masks import Masks
from appliance.processes.network import recovered_platforms
from appliance.processes.part_watch import STOPPED
from appliance.processes.parts import open_pool
from appliance.processes.periodic import Periodic
from appliance.processes.quarantine import quarantine
from appliance.processes.reactor_parts import VERSION, Builder, Calls
from appliance.processes.signs import BROKER_PART, sign
from appliance.runs.hints import send as send_hint
from appliance.safety.allstop import adopt_file
from appliance.safety.approvals.services import forget
from appliance.safety.budgets.services import forget as forget_spent
from appliance.tasks.arming import load_table
from appliance.tasks.sql import READ_REVISION

log = logging.getLogger(__name__)

RELOAD_EVERY = 0.5
TRACES_EVERY = 0.5
RECOVER_EVERY = 2.0
WAKE_EVERY = 0.5
TURN_EVERY = 0.1
HOLD_EVERY = 0.1
CHECK_EVERY = 30.0
BEAT_EVERY = 2.0
BROKERS_EVERY = 0.5
NETWORK_EVERY = 1.0
DEVICES_EVERY = 1.0
PARTS_EVERY = 3.0
STOP_FILE_EVERY = 1.0
QUARANTINE_EVERY = 1.0


class Reactor:
    """Owns the loop's parts, and what is done with them again and again."""

    def __init__(self, config: Config, end: Callable[[], None] = lambda: None) -> None:
        self._config = config
        self._end = end
        self._clock = SystemClock()
        self._revision = -1
        self._listening = False
        self._jobs = Periodic()

    async def start(self) -> None:
        self._pool = await open_pool(self._config)
        masks = Masks(self._pool)
        await masks.look()
        self._jobs.every(masks.EVERY, masks.look)
        self._build()
        await self._bus.outbound.start()
        self._begin_jobs()
        with contextlib.suppress(DatabaseError, PoolTimeout):
            await self._look_back()
        self._jobs.every(BEAT_EVERY, self._beat)
        self._jobs.every(PARTS_EVERY, self._around.parts.tick)
        await self._around.hub.start()
        self._jobs.go_on(self._around.sender.run())
        self._jobs.go_on(self._bus.own.run())
        if self._config.mqtt_events:
            self._jobs.every(self._bus.events.EVERY, self._bus.events.follow)
        self._jobs.every(self._bus.head.EVERY, self._bus.head.tick)
        log.info("reactor ready")

    def _build(self) -> None:
        self._hinter = Hinter()
        calls = Calls(self.hint, self._deliver, self._announce, self._network_changed, self._end)
        builder = Builder(self._config, self._pool, self._clock, self._hinter, calls)
        outbound, others = builder.outgoing()
        self._engine = builder.engine(outbound, others)
        self._bus = builder.messaging(outbound, others, self._engine.intake)
        self._around = builder.surroundings()

    def _begin_jobs(self) -> None:
        every, engine, around = self._jobs.every, self._engine, self._around
        every(RELOAD_EVERY, self._reload)
        every(TRACES_EVERY, engine.intake.tell_refused)
        every(RECOVER_EVERY, self._recover)
        every(WAKE_EVERY, self._wake)
        every(TURN_EVERY, self._hand_on)
        every(HOLD_EVERY, self._fire_holds)
        every(CHECK_EVERY, self._check)
        every(BROKERS_EVERY, self._follow_brokers)
        every(NETWORK_EVERY, around.network.tick)
        every(DEVICES_EVERY, self._watch_devices)
        every(around.recorder.EVERY, around.recorder.tick)
        every(around.recorder.LOOK_EVERY, around.recorder.look)
        every(STOP_FILE_EVERY, self._adopt_stop)
        every(QUARANTINE_EVERY, self._quarantine)
        every(engine.follower.EVERY, engine.follower.follow)
        every(around.notices.EVERY, around.notices.follow)
        every(around.results.EVERY, around.results.tick)
        every(around.escalator.EVERY, around.escalator.tick)
        every(around.sharing.EVERY, around.sharing.tick)
        every(around.alerts.EVERY, around.alerts.follow)
        every(around.refusals.EVERY, around.refusals.tick)
        every(around.routing.EVERY, around.routing.keep_warm)

    async def _look_back(self) -> None:
        """What was when this process was not there."""
        async with self._pool.connection() as connection:
            await self._engine.intake.last.load(connection)
        await self._around.housekeeping.days.prepare(self._clock.now().date())
        await self._around.parts.look_back()
        async with self._pool.connection() as connection:
            await record_async(connection, BoxStarted(version=VERSION))

    async def stop(self) -> None:
        await asyncio.gather(self._bus.inbound.stop(), self._bus.brokers.stop())
        await self._engine.reflex.stop()
        await asyncio.gather(self._bus.outbound.stop(), self._bus.others.stop())
        await self._jobs.stop()
        with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
            await self._around.recorder.flush()
        await self._around.hub.stop()
        with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
            async with self._pool.connection(timeout=1) as connection:
                await sign(connection, "reactor", False, {"message": STOPPED})
        await self._pool.close()

    async def _deliver(self, deliveries: list[Delivery]) -> None:
        """Orders to stop come before everything else in a batch."""
        await self._bus.topics.obey(deliveries, self._clock.now())
        self._around.devices.heard(deliveries)
        others = self._bus.own.sift(deliveries)
        if others:
            await self._engine.intake.deliver(others)

    async def _announce(self) -> None:
        await self._bus.topics.announce(self._bus.inbound)

    def hint(self, run_ids: Sequence[UUID]) -> None:
        """Tell the worker and the browsers; neither waits for a broker that is away."""
        if run_ids:
            send_hint(run_ids)
        self._hinter.poke()

    def _network_changed(self, edges: Sequence[Edge]) -> None:
        self._around.sender.network_is_back(recovered_platforms(edges))
        self._hinter.poke()

    async def _watch_devices(self) -> None:
        await self._around.devices.tick(self._bus.inbound.health().connected)

    async def _reload(self) -> None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_REVISION)
            row = await cursor.fetchone()
            await self._engine.gate.follow(connection)
        revision = row[0] if row else 0
        if revision == self._revision:
            return
        table = await in_django(load_table)
        self._engine.intake.table = table
        wanted = (
            table.filters
            | self._config.watched_filters
            | self._config.history_filters
            | {self._bus.topics.allstop, self._bus.own.filter}
        )
        of_operator = {Wanted(filter_, None) for filter_ in self._config.history_filters}
        self._around.recorder.want(table.charted | of_operator)
        await self._bus.inbound.set_filters(wanted)
        if not self._listening:
            await self._engine.reflex.start()
            # Only now: a kept session delivers at once, and what comes before the triggers are loaded would fall.
            self._listening = True
            await self._bus.inbound.start()
        self._revision = revision

    async def _follow_brokers(self) -> None:
        await self._bus.others.obey_stop()
        if self._listening and self._engine.intake.table is not None:
            await self._bus.brokers.sync(self._engine.intake.table)

    async def _recover(self) -> None:
        repairs = await self._engine.reconciler.recover()
        if repairs:
            self.hint([UUID(repair.subject) for repair in repairs])
        self.hint([UUID(told.subject) for told in await self._engine.reconciler.end_called()])

    async def _wake(self) -> None:
        await self._engine.clock_steps.look()
        engine = self._engine
        due, shards = await engine.reconciler.wake_due(), await engine.shards.look()
        woken = [*due, *shards, *await engine.away.hand_on()]
        if woken:
            self.hint(woken)

    async def _hand_on(self) -> None:
        """Queue the next run of each line in which one has ended."""
        started = await self._engine.turns.hand_on()
        if started:
            self.hint(started)

    async def _fire_holds(self) -> None:
        """Not before what waited in the broker has been read: it may hold the no that ends a hold."""
        connected, received = self._bus.inbound.health().connected, self._engine.intake.received
        await self._engine.clock_steps.look()
        if self._engine.backlog.read(self._clock.monotonic(), connected=connected, received=received):
            started = await self._engine.intake.holds_due()
            if started:
                self.hint(started)

    async def _check(self) -> None:
        await do_each(
            self._engine.reconciler.check,
            self._forget_old,
            self._engine.intake.prune,
            self._around.housekeeping.tick,
        )

    async def _forget_old(self) -> None:
        await in_django(forget, self._clock.now())
        async with self._pool.connection() as connection:
            await forget_spent(connection, self._clock.now())

    async def _quarantine(self) -> None:
        if await in_django(quarantine, self._config.hold_undeclared, self._clock.now()):
            await self._reload()  # triggers of a task that is held start nothing more

    async def _adopt_stop(self) -> None:
        """The file ``ALLSTOP`` in the home engages the all-stop for everybody."""
        await in_django(adopt_file, self._clock.now())

    async def _beat(self) -> None:
        health = self._bus.inbound.health()
        detail = {
            "received": self._engine.intake.received,
            "set_aside": health.poisoned,
            "reflex": self._engine.reflex.performed,
            "aloft": self._engine.reflex.aloft,
            "readings_kept": self._around.recorder.kept,
            "readings_left_out": self._around.recorder.left_out,
            "events_published": self._bus.events.published,
            "events_left_out": self._bus.events.left_out,
            **self._bus.own.counts(),
            "message": health.last_error or "not connected to the broker",
        }
        async with self._pool.connection() as connection:
            await sign(connection, "reactor", health.connected, detail)
            for name, (healthy, said) in self._bus.brokers.health().items():
                await sign(connection, f"{BROKER_PART}{name}", healthy, said)


async def run(config: Config) -> None:
    """Run until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    reactor = Reactor(config, stopping.set)
    await reactor.start()
    # What is loaded by now lives as long as the process: a collection that walks through all of it stalls the
    # loop for tens of milliseconds.
    gc.collect()
    gc.freeze()
    # Most of what a run leaves is freed by reference counts: looking for cycles after every 700 objects is wasted work.
    gc.set_threshold(20_000, 20, 20)
    await stopping.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            await reactor.stop()
