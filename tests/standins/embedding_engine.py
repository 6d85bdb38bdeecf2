"""An engine that embeds and completes, and a keeper that leases it: what encoders and interpreters talk to."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from appliance.inference.domain import EngineKind, InstanceState, Need
from appliance.inference.leases import ASK, Chosen, Done, Granted, Look, Order, RefusedLease, Seen, View, Wish

KEY = "engine-key"


@dataclass
class Engine:
    """Vectors of two numbers: the text's length, and 1. ``status`` is what it answers with."""

    status: int = 200
    asked: list[list[str]] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    beats: list[dict[str, Any]] = field(default_factory=list)
    digest: str = "d" * 64
    says: str = ""
    """What it completes."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    state: InstanceState = InstanceState.READY
    orders: list[Order] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)
    """Completions wait for it."""
    model: str = "minilm"
    is_remote: bool = False
    scheme: str = "http"


@contextmanager
def engine_and_keeper(socket: Path, secure: ssl.SSLContext | None = None) -> Iterator[Engine]:
    """``secure``: with what the engine shows who it is."""
    engine = Engine(scheme="https" if secure else "http")
    engine.goes_on.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(engine))
    if secure:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
    loop = asyncio.new_event_loop()
    listening = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever),
        threading.Thread(target=_keep, args=(loop, socket, engine, server.server_port, listening)),
    ]
    for thread in threads:
        thread.start()
    assert listening.wait(10)
    try:
        yield engine
    finally:
        engine.goes_on.set()
        server.shutdown()
        server.server_close()
        loop.call_soon_threadsafe(loop.stop)
        for thread in threads:
            thread.join()


def _handler(engine: Engine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            if self.path == "/v1/embeddings":
                engine.asked.append(body["input"])
                rows = [{"index": i, "embedding": [len(text), 1]} for i, text in enumerate(body["input"])]
                said = json.dumps({"data": rows[::-1]}).encode()
            else:
                assert self.path == "/v1/chat/completions"
                engine.bodies.append(body)
                engine.goes_on.wait(10)
                said = json.dumps({"choices": [{"message": {"content": engine.says}}]}).encode()
            self.send_response(engine.status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who asked may not have waited
                self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is written."""

    return Handler


def _keep(
    loop: asyncio.AbstractEventLoop, socket: Path, engine: Engine, port: int, listening: threading.Event
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wish = ASK.validate_json(await reader.readline())
        if not isinstance(wish, Wish):
            writer.write(_said(engine, wish).model_dump_json().encode() + b"\n")
            await writer.drain()
            writer.close()
            return
        engine.wishes.append(wish)
        answer: Granted | RefusedLease
        if wish.pinned and wish.pinned != engine.digest:
            answer = RefusedLease(code="inference.refused", message="it is another one now")
        else:
            answer = _granted(port, engine)
        writer.write(answer.model_dump_json().encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            engine.beats.append(json.loads(line))
        writer.close()

    async def listen() -> asyncio.Server:
        server = await asyncio.start_unix_server(serve, socket)
        listening.set()
        return server

    server = loop.run_until_complete(listen())
    loop.run_forever()
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()


def _said(engine: Engine, asked: Look | Order) -> View | Done:
    if isinstance(asked, Order):
        engine.orders.append(asked)
        return Done()
    seen = Seen(
        model=engine.model,
        version="1",
        digest=engine.digest,
        engine=EngineKind.REMOTE if engine.is_remote else EngineKind.LLAMACPP,
        device="",
        state=engine.state,
        reason="",
        for_seconds=1,
        offers=frozenset({Need.JSON, Need.EMBEDDINGS}),
    )
    return View(models=(seen,), spaces=(), waiting=0)


def _granted(port: int, engine: Engine) -> Granted:
    return Granted(
        lease="1",
        url=f"{engine.scheme}://127.0.0.1:{port}",
        key=KEY,
        served_name="minilm",
        context=256,
        slots=1,
        generation=1,
        chosen=Chosen(
            model=engine.model,
            version="1",
            digest=engine.digest,
            engine=EngineKind.LLAMACPP,
            reason="asked for",
        ),
    )
