"""The one wrapper that owns paho-mqtt: a client that stays connected, hands over batches and publishes.

Everything but `Delivery.ack` is called from the loop that started it. Incoming events and outgoing commands
use two clients, so that neither waits for the other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from pathlib import Path

from appliance.bus.address import BusAddress
from appliance.bus.batches import Batches
from appliance.bus.connection import Connection
from appliance.bus.errors import BusAway, BusError, ConnectionLost, SubscriptionRefused
from appliance.bus.options import BusOptions
from appliance.bus.outgoing import Outgoing
from appliance.bus.packets import Incoming
from appliance.bus.ports import BatchHandler, BusHealth, Delivery, PoisonHandler, Will
from appliance.bus.reception import Reception
from appliance.bus.subscriptions import Subscriptions
from appliance.bus.topics import minimal_cover
from appliance.bus.watchdog import Watchdog
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock, SystemClock

log = logging.getLogger(__name__)

_FIRST = 1.0
_SETTLED_AFTER = 5.0
"""Seconds a connection must last before the next attempt is quick again."""

_LAST_ACKNOWLEDGED = 1.0
"""Seconds that a client which stops waits for what its handler has taken and not acknowledged yet."""


class BusClient:
    """A client of one broker.

    ``clean=False`` keeps the session at the broker: what comes while we are away is delivered afterwards.
    ``box`` names the round-trip topic ``millwright/<box>/ping/<client_id>``; without it there is none.
    ``session_file`` keeps what a persistent session subscribes to. ``on_batch`` gets deliveries to commit
    and acknowledge; when it fails because something is away it is called again with the same ones, and a
    message that it can never take is set aside (``on_poison``). ``on_connected`` runs after each log-in.
    """

    def __init__(
        self,
        url: str | BusAddress,
        client_id: str,
        *,
        clean: bool,
        box: str | None = None,
        will: Will | None = None,
        on_batch: BatchHandler | None = None,
        on_poison: PoisonHandler | None = None,
        on_connected: Callable[[], Awaitable[None]] | None = None,
        session_file: Path | None = None,
        options: BusOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._address = BusAddress.parse(url) if isinstance(url, str) else url
        self.client_id = client_id
        self.options = limits = options or BusOptions()
        self._clean = clean
        self._will = will
        self._on_connected = on_connected
        self._clock = clock or SystemClock()
        self._subscriptions = Subscriptions(session_file)
        self._watchdog = Watchdog(
            f"millwright/{box}/ping/{client_id}" if box else None,
            self._clock,
            every=limits.ping_every,
            patience=limits.ping_patience,
        )
        self._batches = Batches(
            on_batch or _drop,
            on_poison,
            max_batch=limits.max_batch,
            max_queue=limits.max_queue,
            max_bytes=limits.max_queue_bytes,
        )
        self._reception = Reception(self._batches, self._clock, limits.catch_up)
        self._outgoing = Outgoing(max_payload=limits.max_payload, at_once=limits.max_publishing)
        self._connection: Connection | None = None
        self._connected = self._outgoing.connected
        self._tasks: list[asyncio.Task[None]] = []
        self._greeting: asyncio.Task[None] | None = None
        self._since: datetime | None = None
        self._last_error: str | None = None
        self._connections = self._faults = 0

    # -- life

    async def start(self) -> None:
        """Begin to connect, and go on for ever. Returns at once."""
        self._reception.bind()
        self._loop = asyncio.get_running_loop()
        self._tasks = [
            self._loop.create_task(self._stay_connected(), name=f"bus {self.client_id}"),
            self._loop.create_task(self._batches.run(), name=f"bus {self.client_id} batches"),
        ]

    async def wait_connected(self, timeout: float) -> None:
        """Return when connected and subscribed. Raises BusAway after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError as error:
            reason = f": {self._last_error}" if self._last_error else ""
            raise BusAway(f"no connection to the broker within {timeout:g} s{reason}") from error

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    async def reach(self, patience: float) -> bool:
        """Whether it took waiting until there is a connection. Raises BusAway after ``patience`` seconds without one.

        The first one was opened a moment ago: it is given ``_FIRST`` seconds in any case.
        """
        if self.is_connected:
            return False
        await self.wait_connected(patience if self._connections else max(patience, _FIRST))
        return True

    async def stop(self, grace: float = 5.0) -> None:
        """Read no more, let what is in hand be handled and acknowledged within ``grace`` seconds, say goodbye."""
        if self._connection:
            self._connection.pause()
        await self._batches.drain(grace)
        await self._reception.drain(min(grace, _LAST_ACKNOWLEDGED))
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            began = self._loop.time()
            self._last_error = await self._connect_once()
            log.warning("bus client %s: %s", self.client_id, self._last_error)
            attempt = 1 if self._loop.time() - began > _SETTLED_AFTER else attempt + 1
            await asyncio.sleep(
                delay(attempt, base=self.options.retry_base, cap=self.options.retry_cap, jitter=0.5)
            )

    async def _connect_once(self) -> str:
        """One connection from its beginning to its end; why it ended."""
        connection: Connection | None = None
        try:
            connection = Connection(
                self._address,
                self.client_id,
                self,
                clean=self._clean,
                keepalive=self.options.keepalive,
                connect_timeout=self.options.connect_timeout,
                will=self._will,
            )
            await connection.open()
            await self._greet(connection)
            return f"connection lost: {await self._watch(connection)}"
        except asyncio.CancelledError:
            if connection:
                self._reception.flush(everything=True)
                await connection.close()
            raise
        except (BusError, TimeoutError) as error:
            return str(error) or "no answer from the broker in time"
        except Exception as error:  # a fault of ours must not end the bus
            log.exception("the bus client %s failed; connecting again", self.client_id)
            return repr(error)
        finally:
            if connection:
                self._let_go(connection)

    async def _greet(self, connection: Connection) -> None:
        """Subscribe; from then on we count as connected."""
        async with asyncio.timeout(self.options.connect_timeout * 2):
            if self._watchdog.topic:
                await connection.subscribe([(self._watchdog.topic, 0)])
            await self._subscriptions.apply(connection)
        self._outgoing.connection = connection
        self._connected.set()
        log.info("bus client %s is connected", self.client_id)
        if self._on_connected:
            self._greeting = self._loop.create_task(self._run_on_connected(self._on_connected))

    async def _run_on_connected(self, callback: Callable[[], Awaitable[None]]) -> None:
        try:
            await callback()
        except Exception:
            log.exception("the callback after connecting failed")
            self.failed("on_connected")

    async def _watch(self, connection: Connection) -> str:
        """Look after the connection until it ends; why it did."""
        while not connection.lost.done():
            connection.tick()
            token = self._watchdog.due()
            if token and self._watchdog.topic and not connection.lost.done():
                await connection.publish(self._watchdog.topic, token, 0, False)
            if self._watchdog.is_overdue:
                if not connection.paused:
                    connection.abort("no round trip within the time allowed")
                self._watchdog.restart()
            await asyncio.wait({connection.lost}, timeout=self.options.tick)
        return connection.lost.result()

    def _let_go(self, connection: Connection) -> None:
        connection.abort("given up")
        self._since = None
        if self._greeting:
            self._greeting.cancel()
        if self._connection is connection:
            self._connection = None
            self._reception.let_go(self._clean)

    # -- in: what the connection reports, and what to listen to

    def accepted(self, connection: Connection, session_present: bool) -> None:
        """Logged in: take up where the last connection ended."""
        self._reception.take_up(connection, session_present)
        if not session_present:
            self._subscriptions.forget()
        self._connection = connection
        self._connections += 1
        self._since = self._clock.now()
        self._watchdog.restart()

    def received(self, connection: Connection, message: Incoming) -> None:
        """A message from the network."""
        if message.topic is not None and self._watchdog.takes(message.topic, message.payload):
            if message.mid:
                connection.acknowledge([message.mid])
        else:
            self._reception.receive(connection, message)

    def failed(self, what: str) -> None:
        """A callback raised."""
        self._faults += 1

    def ended(self) -> None:
        """A connection is over."""
        self._connected.clear()

    async def set_filters(self, filters: Iterable[str]) -> frozenset[str]:
        """Receive what ``filters`` match; gives the few disjoint filters that are subscribed for it.

        While disconnected it takes effect at the next log-in. Raises TopicRefused, SubscriptionRefused.
        """
        wanted = minimal_cover(filters, self.options.max_filters)
        self._subscriptions.wanted = wanted
        if self._connection and self._connected.is_set():
            try:
                await self._subscriptions.apply(self._connection)
            except ConnectionLost:
                return wanted  # the next log-in applies them
            if self._subscriptions.refused:
                raise SubscriptionRefused(
                    f"the broker refused {', '.join(sorted(self._subscriptions.refused))}",
                    hint="look at the broker's permissions and its limit of subscriptions",
                )
        return wanted

    # -- out

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        timeout: float = 10.0,
        wait: bool = True,
    ) -> None:
        """Publish and return when the broker has it (QoS 1: at its PUBACK).

        While disconnected it waits for the connection, but no longer than ``timeout``; with ``wait=False`` it
        raises at once.
        Raises TopicRefused, PayloadTooLarge; BusAway when it is not confirmed, though it may have arrived.
        """
        await self._outgoing.publish(topic, payload, qos=qos, retain=retain, timeout=timeout, wait=wait)

    def health(self) -> BusHealth:
        """How it is now."""
        reception = self._reception
        return BusHealth(
            client_id=self.client_id,
            connected=self._connected.is_set(),
            since=self._since,
            round_trip=self._watchdog.round_trip,
            round_trip_at=self._watchdog.round_trip_at,
            queue_depth=len(self._batches),
            in_hand=len(reception.window),
            paused=bool(self._connection and self._connection.paused),
            received=reception.received,
            published=self._outgoing.published,
            acknowledged=reception.acknowledged,
            duplicates_dropped=reception.window.duplicates,
            poisoned=self._batches.poisoned,
            batch_failures=self._batches.failures,
            callback_failures=self._faults,
            connections=self._connections,
            filters=self._subscriptions.wanted,
            refused_filters=self._subscriptions.refused,
            last_error=self._last_error,
        )


async def _drop(deliveries: list[Delivery]) -> None:
    """For a client that only publishes."""
    for delivery in deliveries:
        delivery.ack()
