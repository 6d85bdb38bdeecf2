"""The web server of a stand, on this machine alone: a few pages, and a note of what was sent to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from appliance.agent.suite.problem import Page

_LONGEST = 64 * 1024


@dataclass
class Web:
    """``pages`` by path, or by method and path (``POST /orders``); ``asked``: method, path and body, in order."""

    url: str
    pages: Mapping[str, Page]
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def served(pages: Mapping[str, Page]) -> Iterator[Web]:
    web = Web("", pages)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(web))
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = min(int(self.headers.get("content-length") or 0), _LONGEST)
            web.asked.append((self.command, self.path, self.rfile.read(length).decode(errors="replace")))
            page = web.pages.get(f"{self.command} {self.path}") or web.pages.get(self.path)
            page = page or Page(status=404, body="there is no such page\n")
            body = page.body.encode()
            self.send_response(page.status)
            self.send_header("content-type", page.type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            """What was asked stands in ``web``."""

    return Handler
