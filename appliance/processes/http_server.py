"""Daphne with limits: what is too large ends its connection while it comes in, not after it is kept."""

import sys
from typing import Any

import uvloop
from twisted.internet import asyncioreactor

if "twisted.internet.reactor" not in sys.modules:
    # Daphne takes the reactor that it finds; its own would run on asyncio's plain loop, which costs 0.5 ms a request.
    asyncioreactor.install(uvloop.new_event_loop())  # type: ignore[no-untyped-call]

from daphne import http_protocol
from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

LARGEST_BODY = 4 * 1024 * 1024
LARGEST_FRAME = 64 * 1024
"""Of what a browser sends over a WebSocket: positions and names of runs."""

_ANSWERS_FOR_LONG = b"/v1/"

TOO_LARGE = 1009
"""RFC 6455, section 7.4.1."""


class BoundedRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    """Counts what arrives; Daphne itself would spool any amount before the application sees the first byte."""

    received = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.received += len(data)
        if self.received > LARGEST_BODY:
            self.channel.transport.abortConnection()
            return
        super().handleContentChunk(data)

    def check_timeouts(self) -> None:
        """A model may speak for long: there the engine's silence and the client's going away end an answer."""
        if not (self.path or b"").startswith(_ANSWERS_FOR_LONG):
            super().check_timeouts()


class BoundedSocket(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    """Tells the application why the connection was dropped, so that it can be put on record with who it was."""

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N802, N803 - autobahn's names
        exceeded = self.wasMaxFramePayloadSizeExceeded or self.wasMaxMessagePayloadSizeExceeded
        super().onClose(wasClean, TOO_LARGE if exceeded else code, reason)


def bounded_server(**options: Any) -> Server:
    """A Daphne server whose requests and incoming frames are bounded."""
    # Daphne has no setting for the class of its requests; its factory looks the name up at each connection.
    http_protocol.WebRequest = BoundedRequest
    WebSocketFactory.protocol = BoundedSocket
    return Server(websocket_max_frame_size=LARGEST_FRAME, **options)
