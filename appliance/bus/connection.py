"""One TCP connection to the broker: a paho client driven by the asyncio loop, with no thread of its own.

paho's own thread dies silently when a callback raises, and each hop between it and the loop costs a switch of
threads; here its socket is a reader of the loop instead. A connection is used once: the next attempt makes
a new paho client, so nothing that paho remembers (an unconfirmed message that the broker hates) is ever sent
again behind our back.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from appliance.bus.address import BusAddress
from appliance.bus.errors import BusAway
from appliance.bus.ports import Will
from appliance.bus.wire import make_client

log = logging.getLogger(__name__)

_PACKETS_PER_TURN = 64
"""How many packets are read before other work of the loop gets its turn."""


class ConnectionLost(BusAway):
    """The connection ended before the broker answered."""

    code = "bus.connection_lost"


class Owner(Protocol):
    """Who is told what comes in. An exception of its methods is logged and counted, never more."""

    def accepted(self, connection: "Connection", session_present: bool) -> None:
        """Logged in. Messages of the session may follow before `Connection.open` returns."""
        ...

    def received(self, connection: "Connection", message: MQTTMessage) -> None: ...

    def failed(self, what: str) -> None: ...

    def ended(self) -> None: ...


class Connection:
    """Open it, use it, close it; ``lost`` is done, with the reason, when it has ended."""

    def __init__(
        self,
        address: BusAddress,
        client_id: str,
        owner: Owner,
        *,
        clean: bool,
        keepalive: int,
        connect_timeout: float,
        will: Will | None,
    ) -> None:
        self._address = address
        self._owner = owner
        self._keepalive = keepalive
        self._timeout = connect_timeout
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._socket: socket.socket | None = None
        self._flushing: asyncio.Handle | None = None
        self._writing = False
        self._seen = 0
        self.paused = False
        self._client = self._listen(
            make_client(address, client_id, clean=clean, timeout=connect_timeout, will=will)
        )

    def _listen(self, client: Client) -> Client:
        client.on_connect = self._guarded("on_connect", self._on_connect)
        client.on_disconnect = self._guarded("on_disconnect", self._on_disconnect)
        client.on_message = self._guarded("on_message", self._on_message)
        client.on_publish = self._guarded("on_publish", self._on_answer)
        client.on_subscribe = self._guarded("on_subscribe", self._on_answer)
        client.on_unsubscribe = self._guarded("on_unsubscribe", self._on_answer)
        client.on_socket_close = self._guarded("on_socket_close", self._on_socket_close)
        client.on_socket_register_write = self._guarded("on_socket_register_write", self._on_want_write)
        return client

    def _guarded(self, what: str, callback: Callable[..., None]) -> Callable[..., None]:
        def guarded(_client: object, _userdata: object, *arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("the bus callback %s failed", what)
                self._owner.failed(what)

        return guarded

    # -- life

    async def open(self) -> None:
        """Connect and log in. Raises BusAway."""
        connecting = self._loop.run_in_executor(None, self._connect)
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(self._abandon)
            raise
        except (OSError, ValueError) as error:
            raise BusAway(f"no connection to {self._address.host}:{self._address.port}: {error}") from error
        self._attach()
        try:
            async with asyncio.timeout(self._timeout):
                await self._accepted
        except TimeoutError as error:
            self.abort("no answer to CONNECT")
            raise BusAway("the broker did not answer the log-in in time") from error
        except BaseException:
            self.abort("not accepted")
            raise

    def _abandon(self, connecting: asyncio.Future[None]) -> None:
        """Nobody waits any more for the thread that connects: close what it brings."""
        connecting.exception()
        self.abort("cancelled")

    def _connect(self) -> None:
        self._client.connect(self._address.host, self._address.port, self._keepalive)

    def _attach(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            raise BusAway("the connection was closed while it was opened")
        self._socket = sock
        self._loop.add_reader(sock, self._readable)
        self.flush()

    def _detach(self) -> None:
        if self._flushing:
            self._flushing.cancel()
            self._flushing = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None

    async def close(self) -> None:
        """Say goodbye; the broker keeps the will to itself."""
        if not self.lost.done():
            self._client.disconnect()
            self.flush()
            await asyncio.wait({self.lost}, timeout=1.0)
        self.abort("closed")

    def abort(self, reason: str) -> None:
        """End without a word: the broker will publish the will. Does nothing the second time."""
        sock = self._client.socket()
        self._detach()
        if sock is not None:
            sock.close()
        self._end(reason)

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            self._owner.ended()
        if not self._accepted.done():
            self._accepted.set_exception(ConnectionLost(f"the broker ended the connection: {reason}"))
            self._accepted.exception()  # it may be that nobody waits
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(ConnectionLost(f"the connection to the broker was lost: {reason}"))

    # -- traffic

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Send; for QoS 1 return at the PUBACK. Raises ConnectionLost."""
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.flush()
            raise ConnectionLost(f"the message could not be sent: {info.rc.name}")
        if qos == 0:
            self.flush()
            return
        await self._answer(info.mid)

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> dict[str, bool]:
        """Ask for filters; which were granted. Raises ConnectionLost."""
        wanted: list[tuple[str, int]] = list(filters)
        _, mid = self._client.subscribe(wanted)
        codes: list[ReasonCode] = await self._answer(mid)
        return {filter_: not code.is_failure for (filter_, _), code in zip(wanted, codes, strict=True)}

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Give filters back. Raises ConnectionLost."""
        _, mid = self._client.unsubscribe(list(filters))
        await self._answer(mid)

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Send a PUBACK for each packet id."""
        for mid in mids:
            self._client.ack(mid, 1)
        self.flush()

    async def _answer(self, mid: int | None) -> Any:
        if mid is None or self.lost.done():
            raise ConnectionLost("there is no connection to the broker")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._answers[mid] = answer
        try:
            self.flush()
            return await answer
        finally:
            self._answers.pop(mid, None)
            if answer.done() and not answer.cancelled():
                answer.exception()

    def flush(self) -> None:
        """Write what paho has queued; the rest follows when the socket takes more."""
        if self._flushing:
            self._flushing.cancel()
            self._flushing = None
        if self._socket is None:
            return
        self._client.loop_write()
        wants = self._client.want_write() and self._socket is not None
        if wants and not self._writing and self._socket is not None:
            self._loop.add_writer(self._socket, self.flush)
        elif not wants and self._writing and self._socket is not None:
            self._loop.remove_writer(self._socket)
        self._writing = wants

    def pause(self) -> None:
        """Stop reading: the broker's window and the socket's buffer hold back what comes."""
        if not self.paused and self._socket is not None:
            self.paused = True
            self._loop.remove_reader(self._socket)

    def resume(self) -> None:
        if self.paused and self._socket is not None:
            self.paused = False
            self._loop.add_reader(self._socket, self._readable)
            self._loop.call_soon(self._readable)  # TLS may hold bytes that the socket no longer shows

    def tick(self) -> None:
        """Let paho look after its keepalive. Not while paused: it would take our silence for the broker's."""
        if not self.paused and self._socket is not None:
            self._client.loop_misc()

    def _readable(self) -> None:
        try:
            for _ in range(_PACKETS_PER_TURN):
                if self._socket is None or self.paused:
                    return
                before = self._seen
                self._client.loop_read()
                if self._seen == before and not self._pending():
                    return
            if self._pending():
                self._loop.call_soon(self._readable)
        except Exception as error:
            log.exception("reading from the broker failed")
            self._owner.failed("read")
            self.abort(f"reading failed: {error}")

    def _pending(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    # -- paho's callbacks

    def _on_connect(self, flags: Any, reason: ReasonCode, _properties: object) -> None:
        self._seen += 1
        if self._accepted.done():
            return
        if reason.is_failure:
            hint = "check user and password of the broker's URL" if "auth" in str(reason).lower() else None
            self._accepted.set_exception(BusAway(f"the broker refused the log-in: {reason}", hint=hint))
        else:
            self._owner.accepted(self, bool(flags.session_present))
            self._accepted.set_result(None)

    def _on_disconnect(self, _flags: object, reason: ReasonCode, _properties: object) -> None:
        self._detach()
        self._end(str(reason))

    def _on_message(self, message: MQTTMessage) -> None:
        self._seen += 1
        self._owner.received(self, message)

    def _on_answer(self, mid: int, reason: Any, *_properties: object) -> None:
        self._seen += 1
        answer = self._answers.get(mid)
        if answer and not answer.done():
            answer.set_result(reason)

    def _on_socket_close(self, _sock: object) -> None:
        self._detach()

    def _on_want_write(self, _sock: object) -> None:
        # Called in the executor's thread during connect(), where _attach() flushes afterwards.
        if self._socket is not None and self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)
