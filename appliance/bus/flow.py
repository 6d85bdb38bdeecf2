"""The socket of one connection as a reader and writer of the loop: paho is called when there is something to do."""

import asyncio
import logging
from collections.abc import Callable

from paho.mqtt.client import Client

from appliance.bus.buffered import BufferedSocket
from appliance.bus.errors import BusAway

log = logging.getLogger(__name__)

_PACKETS_PER_TURN = 64
"""How many packets are read before other work of the loop gets its turn."""


class Flow:
    """What waits is written once per turn of the loop. ``on_fault`` gets what reading or writing ended with;
    ``on_packet`` each packet that has come, and says whether it took it: else it is paho's."""

    def __init__(
        self,
        client: Client,
        loop: asyncio.AbstractEventLoop,
        on_packet: Callable[[int, bytes], bool],
        on_fault: Callable[[str, Exception], None],
    ) -> None:
        self._on_packet = on_packet
        self._client = client
        self._loop = loop
        self._on_fault = on_fault
        self._flushing: asyncio.Handle | None = None
        self._writing = False
        self.socket: BufferedSocket | None = None
        self.paused = False

    def attach(self) -> None:
        """Take up the client's socket, which is connected. Raises BusAway."""
        sock = self._client.socket()
        if not isinstance(sock, BufferedSocket):
            raise BusAway("the connection was closed while it was opened")
        self.socket = sock
        self._loop.add_reader(sock.raw, self._readable)
        self.flush()

    def detach(self) -> None:
        """Leave the socket alone; it is closed by whoever ends the connection."""
        if self._flushing:
            self._flushing.cancel()
            self._flushing = None
        if self.socket is not None:
            self._loop.remove_reader(self.socket.raw)
            self._loop.remove_writer(self.socket.raw)
            self.socket = None

    def flush_soon(self) -> None:
        """Write when this turn of the loop is over: one write for all that it publishes."""
        # paho also calls it in the executor's thread during connect(), where attach() flushes afterwards.
        if self.socket is not None and self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits; the rest follows when the socket takes more."""
        if self._flushing:
            self._flushing.cancel()
            self._flushing = None
        if self.socket is None:
            return
        self._client.loop_write()
        try:
            wants = self.socket is not None and (not self.socket.drain() or self._client.want_write())
        except OSError as error:
            self._on_fault("writing", error)
            return
        if self.socket is not None and wants is not self._writing:
            if wants:
                self._loop.add_writer(self.socket.raw, self.flush)
            else:
                self._loop.remove_writer(self.socket.raw)
            self._writing = wants

    def pause(self) -> None:
        """Stop reading: the broker's window and the socket's buffer hold back what comes."""
        if not self.paused and self.socket is not None:
            self.paused = True
            self._loop.remove_reader(self.socket.raw)

    def resume(self) -> None:
        """Read again, beginning with what was read from the socket already."""
        if self.paused and self.socket is not None:
            self.paused = False
            self._loop.add_reader(self.socket.raw, self._readable)
            self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        try:
            self._read()
        except Exception as error:
            log.exception("reading from the broker failed")
            self._on_fault("reading", error)

    def _read(self) -> None:
        sock = self.socket
        if sock is None or self.paused or (sock.packet() is None and not sock.fill()):
            return
        for _ in range(_PACKETS_PER_TURN):
            packet = sock.packet()
            if packet is None and not sock.ended:
                if sock.pending:
                    break
                return  # what the kernel still has, it tells again
            if packet is not None and self._on_packet(*packet):
                sock.skip()
            else:
                self._client.loop_read()
            if self.socket is None or self.paused:
                return
        self._loop.call_soon(self._readable)
