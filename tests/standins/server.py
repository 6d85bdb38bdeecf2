"""What stand-ins of platforms share: a real HTTP server that remembers what it was asked and fails when a test says so,
and a real WebSocket server beside it. A stand-in subclasses it and answers as its platform's documentation says."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

LOOKS_EVERY = 0.005
"""Seconds between two looks of a server whether it is to end: each test waits for that once."""


@dataclass(frozen=True)
class Asked:
    """One request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    @property
    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.body)

    @property
    def parts(self) -> dict[str, tuple[str, bytes]]:
        """Of a multipart form: the file name (empty for a plain field) and the content of each field."""
        head = f"Content-Type: {self.headers.get('content-type', '')}\r\n\r\n".encode()
        whole: Message = BytesParser(policy=HTTP).parsebytes(head + self.body)
        found = {}
        for part in whole.get_payload() if whole.is_multipart() else ():
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            content = part.get_payload(decode=True)  # type: ignore[union-attr]
            found[str(name)] = (part.get_filename() or "", content)  # type: ignore[union-attr]
        return found  # type: ignore[return-value]


@dataclass(frozen=True)
class Told:
    """An answer. Status 0 ends the connection without one."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return (
            self.body if isinstance(self.body, bytes) else json.dumps(self.body, ensure_ascii=False).encode()
        )


@dataclass
class _Failure:
    path: str
    told: Told
    pause: float
    left: int


class Standin:
    """The servers, thread-safe. ``with Standin() as platform: platform.root``."""

    def __init__(self) -> None:
        self.calls: list[Asked] = []
        self.changed = threading.Condition()
        self._failures: list[_Failure] = []
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.standin = self
        self._sockets: Server = serve(self._socket, "127.0.0.1", 0)
        self.open_sockets: list[ServerConnection] = []
        self._threads = [
            threading.Thread(target=self._http.serve_forever, args=(LOOKS_EVERY,), daemon=True),
            threading.Thread(target=self._sockets.serve_forever, daemon=True),
        ]

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def socket_root(self) -> str:
        return f"ws://127.0.0.1:{self._sockets.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self._http.shutdown()
        self._http.server_close()
        self._sockets.shutdown()
        for thread in self._threads:
            thread.join(5)

    # --- what a test does -------------------------------------------------------------------------

    def fail(
        self,
        path: str,
        status: int,
        body: Any = b"",
        *,
        times: int = 1,
        pause: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """The next ``times`` requests whose path contains ``path`` are answered so, after ``pause`` seconds."""
        with self.changed:
            self._failures.append(_Failure(path, Told(status, body, headers or {}), pause, times))

    def asked(self, path: str) -> list[Asked]:
        """The requests whose path contains ``path``."""
        return [call for call in self.calls if path in call.path]

    def hang_up(self) -> None:
        """End every WebSocket without a farewell."""
        for connection in list(self.open_sockets):
            # Closing it here would leave the thread that reads it asleep until its next ping, 20 seconds away.
            with contextlib.suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    # --- what a platform does ---------------------------------------------------------------------

    def answer(self, asked: Asked) -> Told:
        raise NotImplementedError

    def attend(self, connection: ServerConnection) -> None:
        """Serve one WebSocket until it ends. ``connection.request.path`` says what it asked for."""
        raise NotImplementedError

    def handle(self, asked: Asked) -> Told:
        with self.changed:
            self.calls.append(asked)
            failure = next((one for one in self._failures if one.left and one.path in asked.path), None)
            if failure:
                failure.left -= 1
            self.changed.notify_all()
        if failure is None:
            return self.answer(asked)
        time.sleep(failure.pause)
        return failure.told if failure.told.status != -1 else self.answer(asked)

    def _socket(self, connection: ServerConnection) -> None:
        self.open_sockets.append(connection)
        with self.changed:
            self.changed.notify_all()
        try:
            self.attend(connection)
        except (ConnectionClosed, OSError):
            pass
        finally:
            self.open_sockets.remove(connection)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    standin: Standin


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = self.server.standin.handle(Asked(self.command, parts.path, query, headers, body))
        if told.status == 0:
            self.close_connection = True
            return
        try:
            self.send_response(told.status)
            for name, value in {"Content-Type": "application/json", **told.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.content)))
            self.end_headers()
            self.wfile.write(told.content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the record has everything."""
