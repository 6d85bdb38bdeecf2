"""One TCP connection to the broker: a paho client driven by the asyncio loop, with no thread of its own.

paho's own thread dies silently when a callback raises, and each hop between it and the loop costs a switch of
threads; here its socket is a reader of the loop instead. Messages and their acknowledgements do not go through
paho at all (`packets`): that is what a busy connection consists of. A connection is used once: the next attempt
makes a new paho client, so nothing is ever sent again behind our back.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

from appliance.bus import packets
from appliance.bus.address import BusAddress
from appliance.bus.answers import Answers
from appliance.bus.errors import BusAway, ConnectionLost
from appliance.bus.flow import Flow
from appliance.bus.owner import Owner
from appliance.bus.ports import Will
from appliance.bus.wire import BufferedClient, make_client

log = logging.getLogger(__name__)


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
        self._answers = Answers(self._loop)
        self._client = self._listen(
            make_client(
                address, client_id, clean=clean, timeout=connect_timeout, will=will, kind=BufferedClient
            )
        )
        self._flow = Flow(self._client, self._loop, self._packet, self._fault)

    def _listen(self, client: Client) -> Client:
        client.on_connect = self._guarded("on_connect", self._on_connect)
        client.on_disconnect = self._guarded("on_disconnect", self._on_disconnect)
        client.on_subscribe = self._guarded("on_subscribe", self._on_answer)
        client.on_unsubscribe = self._guarded("on_unsubscribe", self._on_answer)
        client.on_socket_close = self._guarded("on_socket_close", self._on_socket_close)
        client.on_socket_register_write = self._guarded(
            "on_socket_register_write", lambda _sock: self._flow.flush_soon()
        )
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
        self._flow.attach()
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
        self._flow.detach()
        if sock is not None:
            sock.close()
        self._end(reason)

    def _fault(self, what: str, error: Exception) -> None:
        self._owner.failed(what)
        self.abort(f"{what} failed: {error}")

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
            self._owner.ended()
        if not self._accepted.done():
            self._accepted.set_exception(ConnectionLost(f"the broker ended the connection: {reason}"))
            self._accepted.exception()  # it may be that nobody waits
        self._answers.fail(reason)

    # -- traffic

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Send; for QoS 1 return at the PUBACK. Raises ConnectionLost."""
        sock = self._flow.socket
        if sock is None or self.lost.done():
            raise ConnectionLost("there is no connection to the broker")
        mid = self._free_mid() if qos else 0
        sock.put(packets.publish(topic, payload, mid, retain=retain))
        if qos == 0:
            self.flush()
            return
        self._flow.flush_soon()
        await self._answer(mid)

    def _free_mid(self) -> int:
        """The next number of paho's series, from which subscriptions take theirs."""
        while (mid := self._client._mid_generate()) in self._answers:
            pass
        return mid

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
        if self._flow.socket is not None:
            self._flow.socket.put(b"".join(map(packets.puback, mids)))
            self.flush()

    async def _answer(self, mid: int | None) -> Any:
        if mid is None or self.lost.done():
            raise ConnectionLost("there is no connection to the broker")
        try:
            return await self._answers.expect(mid)
        finally:
            self._answers.forget(mid)

    def flush(self) -> None:
        """Write what waits; the rest follows when the socket takes more."""
        self._flow.flush()

    @property
    def paused(self) -> bool:
        """Whether reading has stopped."""
        return self._flow.paused

    def pause(self) -> None:
        """Stop reading: the broker's window and the socket's buffer hold back what comes."""
        self._flow.pause()

    def resume(self) -> None:
        self._flow.resume()

    def tick(self) -> None:
        """Let paho look after its keepalive. Not while paused: it would take our silence for the broker's."""
        if not self.paused and self._flow.socket is not None:
            self._client.loop_misc()

    def _packet(self, head: int, body: bytes) -> bool:
        """Take a message or an acknowledgement; False for what is paho's."""
        kind = head & 0xF0
        if kind == packets.PUBACK and len(body) == 2:
            self._answers.came(int.from_bytes(body, "big"), None)
            return True
        message = packets.read_publish(head, body) if kind == packets.PUBLISH else None
        if message is None:
            return False
        try:
            self._owner.received(self, message)
        except Exception:
            log.exception("a message could not be received")
            self._owner.failed("received")
        return True

    # -- paho's callbacks

    def _on_connect(self, flags: Any, reason: ReasonCode, _properties: object) -> None:
        if self._accepted.done():
            return
        if reason.is_failure:
            hint = "check user and password of the broker's URL" if "auth" in str(reason).lower() else None
            self._accepted.set_exception(BusAway(f"the broker refused the log-in: {reason}", hint=hint))
        else:
            self._owner.accepted(self, bool(flags.session_present))
            self._accepted.set_result(None)

    def _on_disconnect(self, _flags: object, reason: ReasonCode, _properties: object) -> None:
        self._flow.detach()
        self._end(str(reason))

    def _on_answer(self, mid: int, reason: Any, *_properties: object) -> None:
        self._answers.came(mid, reason)

    def _on_socket_close(self, _sock: object) -> None:
        self._flow.detach()
