"""A receiver of logs: a real HTTP server that honours ``Idempotency-Key`` and can be stopped and started."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class LogReceiver:
    """``kept`` is what it stored, by key; ``asked`` every key in the order of the requests. ``before_answer`` is
    called once, after a batch was stored and before it is answered; the connection is then closed without a word."""

    port: int = 0
    host: str = "127.0.0.1"
    kept: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    before_answer: Callable[[], None] | None = None
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        if self._server:
            return
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                key = self.headers["Idempotency-Key"]
                receiver.asked.append(key)
                receiver.kept.setdefault(key, body)
                interrupt, receiver.before_answer = receiver.before_answer, None
                if interrupt:
                    interrupt()
                    self.close_connection = True
                    return
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer((self.host, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def lines(self) -> list[str]:
        return [line for body in self.kept.values() for line in body.splitlines()]
