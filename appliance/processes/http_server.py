"""Daphne with a limit: a body that is too large ends its connection while it comes in, not after it is kept."""

from typing import Any

from daphne import http_protocol
from daphne.http_protocol import WebRequest
from daphne.server import Server

LARGEST_BODY = 4 * 1024 * 1024


class BoundedRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    """Counts what arrives; Daphne itself would spool any amount before the application sees the first byte."""

    received = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.received += len(data)
        if self.received > LARGEST_BODY:
            self.channel.transport.abortConnection()
            return
        super().handleContentChunk(data)


def bounded_server(**options: Any) -> Server:
    """A Daphne server whose requests are bounded."""
    # Daphne has no setting for the class of its requests; its factory looks the name up at each connection.
    http_protocol.WebRequest = BoundedRequest
    return Server(**options)
