"""The reactor: MQTT and the journal's events in, the outbox out, chat bridges, and the reconciler."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.bridges.hub import BridgeHub
from appliance.bus.client import BusClient
from appliance.bus.ports import Delivery
from appliance.devices.connections import BrokerConnections, no_connections
from appliance.devices.watch import DeviceWatch
from appliance.events import BoxStarted
from appliance.events.hints import Hinter
from appliance.events.services import record_async
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.outbox.network.domain import Edge
from appliance.outbox.sender import Sender
from appliance.processes.backlog import Backlog
from appliance.processes.box_topics import BoxTopics
from appliance.processes.brokers import InboundBrokers
from appliance.processes.chat import ChatCommands
from appliance.processes.events_out import EventsOut
from appliance.processes.follow import JournalFollower
from appliance.processes.housekeeping import Housekeeping
from appliance.processes.in_django import in_django
from appliance.processes.network import network_monitor, recovered_platforms
from appliance.processes.outgoing import OutgoingBrokers
from appliance.processes.own_topics import OwnTopics
from appliance.processes.part_watch import STOPPED, PartWatch, checks_of
from appliance.processes.parts import BoxServices, DefinitionCache, open_pool
from appliance.processes.sharing import Sharing
from appliance.processes.signs import BROKER_PART, sign
from appliance.runs.hints import send as send_hint
from appliance.runs.intake import Intake, NotArmed
from appliance.runs.receipts import Receipts
from appliance.runs.reconciler import Reconciler
from appliance.runs.reflex.lane import ReflexLane
from appliance.runs.shards.keeper import ShardKeeper
from appliance.runs.turns import Turns
from appliance.safety.allstop import adopt_file
from appliance.safety.approvals.services import forget
from appliance.safety.gate import Gate
from appliance.sandbox.process.client import ProcessSandbox
from appliance.tasks.arming import load_table
from appliance.tasks.doors import look_at_all
from appliance.tasks.sql import READ_REVISION

log = logging.getLogger(__name__)

VERSION = "0.1.0"
RELOAD_EVERY = 0.5
TRACES_EVERY = 0.5
RECOVER_EVERY = 2.0
WAKE_EVERY = 0.5
TURN_EVERY = 0.1
HOLD_EVERY = 0.1
CHECK_EVERY = 30.0
BEAT_EVERY = 2.0
BROKERS_EVERY = 0.5
REFLEX_PATIENCE = 2.0
"""Seconds that the reactor waits for a further broker; then the run goes to the worker, which waits longer."""
NETWORK_EVERY = 1.0
DEVICES_EVERY = 1.0
PARTS_EVERY = 3.0
STOP_FILE_EVERY = 1.0


class Reactor:
    """Owns the loop's parts; each background job is isolated, and goes on after any error."""

    def __init__(self, config: Config, end: Callable[[], None] = lambda: None) -> None:
        self._config = config
        self._end = end
        self._clock = SystemClock()
        self._revision = -1
        self._listening = False
        self._jobs: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        config = self._config
        self._pool = await open_pool(config)
        self._hinter = Hinter()
        self._intake = Intake(self._pool, self._clock, self.hint)
        self._outbound = BusClient(
            config.mqtt_url,
            f"{config.home.id}-reflex-{config.home.secret('mqtt_client')[:12]}",
            clean=True,
            box=config.home.id,
            on_batch=None,
        )
        self._others = OutgoingBrokers(self._pool, config, "reactor", patience=REFLEX_PATIENCE)
        self._intake.reflex = self._reflex = ReflexLane(
            self._pool,
            self._clock,
            Gate(config.home.path),
            BoxServices(self._outbound, ProcessSandbox(config.home.spawner_socket), self._others),
            self._intake.last,
            self.hint,
            DefinitionCache().get,
            self._end,
        )
        self._reconciler = Reconciler(self._pool, self._clock)
        self._turns = Turns(self._pool)
        self._backlog = Backlog(self._clock.monotonic())
        self._shards = ShardKeeper(self._pool)
        self._housekeeping = Housekeeping(self._pool, self._clock, config)
        self._topics = BoxTopics(config.home.id)
        self._inbound = BusClient(
            config.mqtt_url,
            f"{config.home.id}-reactor-{config.home.secret('mqtt_client')[:12]}",
            clean=False,
            box=config.home.id,
            will=self._topics.will,
            on_batch=self._deliver,
            on_connected=self._announce,
            session_file=config.home.data / "bus" / "reactor.json",
        )
        self._own = OwnTopics(config.home.id, self._outbound, self._clock, self.hint, VERSION)
        self._events = EventsOut(self._pool, self._outbound, config.home.id, self._clock)
        self._brokers = InboundBrokers(self._pool, config, self._intake.deliver)
        self._hub = BridgeHub(
            self._pool, ChatCommands(), self._clock, settings={"telegram_api": config.telegram_api}
        )
        self._network = network_monitor(self._pool, self._clock, config, self._network_changed)
        ours = "nats" in config.embedded
        connections = BrokerConnections(config.home.path / "nats") if ours else no_connections
        self._devices = DeviceWatch(self._pool, self._clock, connections, self._hinter.poke)
        self._parts = PartWatch(self._pool, self._clock, checks_of(config), self._hinter.poke)
        self._sender = Sender(
            self._pool, self._hub, Receipts(self._pool, self.hint), self._clock, away=self._network.away
        )
        self._follower = JournalFollower(self._pool, self._intake, self.hint, self._hinter)
        await self._outbound.start()
        self._every(RELOAD_EVERY, self._reload)
        self._every(TRACES_EVERY, self._intake.tell_refused)
        self._every(RECOVER_EVERY, self._recover)
        self._every(WAKE_EVERY, self._wake)
        self._every(TURN_EVERY, self._hand_on)
        self._every(HOLD_EVERY, self._fire_holds)
        self._every(CHECK_EVERY, self._check)
        self._every(BROKERS_EVERY, self._follow_brokers)
        self._every(NETWORK_EVERY, self._network.tick)
        self._every(DEVICES_EVERY, self._watch_devices)
        self._every(STOP_FILE_EVERY, self._adopt_stop)
        self._every(self._follower.EVERY, self._follower.follow)
        self._every(Sharing.EVERY, Sharing(self._pool, self._clock).tick)
        with contextlib.suppress(DatabaseError, PoolTimeout):
            async with self._pool.connection() as connection:
                await self._intake.last.load(connection)
            await self._housekeeping.prepare_partitions(self._clock.now().date())
            await self._parts.look_back()
            async with self._pool.connection() as connection:
                await record_async(connection, BoxStarted(version=VERSION))
        self._every(BEAT_EVERY, self._beat)
        self._every(PARTS_EVERY, self._parts.tick)
        await self._hub.start()
        self._jobs += [asyncio.create_task(self._sender.run()), asyncio.create_task(self._own.run())]
        if config.mqtt_events:
            self._every(self._events.EVERY, self._events.follow)
        log.info("reactor ready")

    async def stop(self) -> None:
        await asyncio.gather(self._inbound.stop(), self._brokers.stop())
        await self._reflex.stop()
        await asyncio.gather(self._outbound.stop(), self._others.stop())
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._hub.stop()
        with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
            async with self._pool.connection(timeout=1) as connection:
                await sign(connection, "reactor", False, {"message": STOPPED})
        await self._pool.close()

    async def _deliver(self, deliveries: list[Delivery]) -> None:
        """Orders to stop come before everything else in a batch."""
        await self._topics.obey(deliveries, self._clock.now())
        self._devices.heard(deliveries)
        others = self._own.sift(deliveries)
        if others:
            await self._intake.deliver(others)

    async def _announce(self) -> None:
        await self._topics.announce(self._inbound)

    def hint(self, run_ids: Sequence[UUID]) -> None:
        """Tell the worker and the browsers; neither waits for a broker that is away."""
        if run_ids:
            send_hint(run_ids)
        self._hinter.poke()

    def _network_changed(self, edges: Sequence[Edge]) -> None:
        self._sender.network_is_back(recovered_platforms(edges))
        self._hinter.poke()

    async def _watch_devices(self) -> None:
        await self._devices.tick(self._inbound.health().connected)

    async def _reload(self) -> None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_REVISION)
            row = await cursor.fetchone()
        revision = row[0] if row else 0
        if revision == self._revision:
            return
        table = await in_django(load_table)
        self._intake.table = table
        wanted = table.filters | self._config.watched_filters | {self._topics.allstop, self._own.filter}
        await self._inbound.set_filters(wanted)
        if not self._listening:
            await self._reflex.start()
            # Only now: a kept session delivers at once, and what comes before the triggers are loaded would fall.
            self._listening = True
            await self._inbound.start()
        self._revision = revision

    async def _follow_brokers(self) -> None:
        if self._listening and self._intake.table is not None:
            await self._brokers.sync(self._intake.table)

    async def _recover(self) -> None:
        repairs = await self._reconciler.recover()
        if repairs:
            self.hint([UUID(repair.subject) for repair in repairs])
        self.hint(await self._reconciler.called_by_cancelled())

    async def _wake(self) -> None:
        woken = [*await self._reconciler.wake_due(), *await self._shards.look()]
        if woken:
            self.hint(woken)

    async def _hand_on(self) -> None:
        """Queue the next run of each line in which one has ended."""
        started = await self._turns.hand_on()
        if started:
            self.hint(started)

    async def _fire_holds(self) -> None:
        """Not before what waited in the broker has been read: it may hold the no that ends a hold."""
        connected, received = self._inbound.health().connected, self._intake.received
        if self._backlog.read(self._clock.monotonic(), connected=connected, received=received):
            started = await self._intake.holds_due()
            if started:
                self.hint(started)

    async def _check(self) -> None:
        await self._housekeeping.tick()
        await self._turns.free_stranded()
        await self._reconciler.requeue_delivered()
        await self._reconciler.idle_splits()
        await self._reconciler.answered()
        await self._reconciler.asked_for_nothing()
        await in_django(forget, self._clock.now())
        await self._reconciler.overdue_messages()
        silent = await self._reconciler.silent_triggers()
        if silent:
            log.warning("repaired: an enabled time trigger has its next due time: %s", ", ".join(silent))
        await in_django(look_at_all, self._clock.now())
        await self._intake.prune()

    async def _adopt_stop(self) -> None:
        """The file ``ALLSTOP`` in the home engages the all-stop for everybody."""
        await in_django(adopt_file, self._clock.now())

    async def _beat(self) -> None:
        health = self._inbound.health()
        detail = {
            "received": self._intake.received,
            "reflex": self._reflex.performed,
            "aloft": self._reflex.aloft,
            "events_published": self._events.published,
            "events_left_out": self._events.left_out,
            **self._own.counts(),
            "message": health.last_error or "not connected to the broker",
        }
        async with self._pool.connection() as connection:
            await sign(connection, "reactor", health.connected, detail)
            for name, (healthy, said) in self._brokers.health().items():
                await sign(connection, f"{BROKER_PART}{name}", healthy, said)

    def _every(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        self._jobs.append(asyncio.create_task(self._forever(seconds, work)))

    async def _forever(self, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        while True:
            try:
                await work()
            except (DatabaseError, PoolTimeout, OSError, NotArmed) as error:
                log.warning("waiting for the database: %s", error)
            except Exception:
                log.exception("background job %r goes on after an error", getattr(work, "__name__", work))
            await asyncio.sleep(seconds)


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
    await stopping.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            await reactor.stop()
