"""A web server with files of models, which does what such servers do on a bad day. ``served`` has each request."""

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_PIECE = 64 << 10


@dataclass
class Shelf:
    """One file, and how it is handed out. ``cut_after``: bytes of each answer, then the line is cut."""

    content: bytes
    etag: str = '"1"'
    modified: str = ""
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    claimed: int | None = None
    """The length that it says."""
    honest_range: bool = True
    pause: float = 0.0
    """Seconds before each piece."""
    status: int = 200
    location: str = ""
    encoding: str = ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is an ordinary event here."""


class ModelShop:
    def __init__(self) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.served: list[tuple[str, dict[str, str]]] = []
        self.posted: list[tuple[str, bytes]] = []
        self.answers: dict[str, bytes] = {}
        """To what is posted, by path."""
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def ranges(self, path: str) -> list[str]:
        """The ``Range`` of each request for it; empty where there was none."""
        return [headers.get("range", "") for at, headers in self.served if at == path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _handler(shop: ModelShop) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            shop.served.append((path, {name.lower(): value for name, value in self.headers.items()}))
            shelf = shop.shelves.get(path)
            if shelf is None or shelf.status >= 400:
                self._bare(404 if shelf is None else shelf.status)
            elif shelf.location:
                self._bare(302, shelf.location)
            else:
                self._hand_out(shelf)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            shop.posted.append((self.path, body))
            said = shop.answers.get(self.path)
            self.send_response(404 if said is None else 200)
            self.send_header("Content-Length", str(len(said or b"")))
            self.end_headers()
            self.wfile.write(said or b"")

        def _bare(self, status: int, location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _hand_out(self, shelf: Shelf) -> None:
            start = self._start(shelf)
            if start is not None and start >= len(shelf.content):
                self._bare(416)
                return
            content = shelf.content[start or 0 :]
            self.send_response(200 if start is None else 206)
            if start is not None:
                said = start if shelf.honest_range else start + 1
                whole = len(shelf.content)
                self.send_header("Content-Range", f"bytes {said}-{whole - 1}/{whole}")
            for name, value in (
                ("ETag", shelf.etag),
                ("Last-Modified", shelf.modified),
                ("Content-Encoding", shelf.encoding),
            ):
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(shelf.claimed or len(content)))
            self.end_headers()
            self._send(shelf, content)

        def _start(self, shelf: Shelf) -> int | None:
            asked = self.headers.get("Range", "")
            if not asked or not shelf.ranges:
                return None
            if self.headers.get("If-Range", shelf.etag) not in (shelf.etag, shelf.modified):
                return None
            return int(asked.removeprefix("bytes=").rstrip("-"))

        def _send(self, shelf: Shelf, content: bytes) -> None:
            end = shelf.cut_after.pop(0) if shelf.cut_after else len(content)
            try:
                for at in range(0, min(end, len(content)), _PIECE):
                    time.sleep(shelf.pause)
                    self.wfile.write(content[at : min(at + _PIECE, end)])
            except OSError:
                pass
            if end < len(content) or shelf.claimed:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: ``served`` has everything."""

    return Handler
