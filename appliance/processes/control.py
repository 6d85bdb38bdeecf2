"""The process manager's door: XML-RPC over a unix socket, with a password. Standard library only."""

import base64
import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any

USER = "millwright"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.settimeout(self.timeout)
        try:
            door.connect(self._path)
        except OSError:
            door.close()
            raise
        self.sock = door


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str, password: str) -> None:
        secret = base64.b64encode(f"{USER}:{password}".encode()).decode()
        super().__init__(headers=[("Authorization", f"Basic {secret}")])
        self._path = path
        self._made: _Connection | None = None

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        self._made = _Connection(self._path)
        return self._made

    def close(self) -> None:
        """The base class closes only the connections that it made itself."""
        made, self._made = self._made, None
        if made is not None:
            made.close()


def call(path: Path, password: str, method: str, *arguments: Any) -> Any:
    """Call a method of supervisor's. Raises OSError, HTTPException, xmlrpc.client.Error.

    Each call has its own connection: one that failed cannot be used again.
    """
    with xmlrpc.client.ServerProxy(
        "http://localhost/RPC2", transport=_Transport(str(path), password)
    ) as server:
        return getattr(server, f"supervisor.{method}")(*arguments)
