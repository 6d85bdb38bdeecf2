"""An engine that embeds and completes, and a keeper that leases it: what encoders and interpreters talk to."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from appliance.inference.domain import EngineKind
from appliance.inference.leases import ASK, Chosen, Granted, RefusedLease, Wish

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


@contextmanager
def engine_and_keeper(socket: Path) -> Iterator[Engine]:
    engine = Engine()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(engine))
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
                said = json.dumps({"choices": [{"message": {"content": engine.says}}]}).encode()
            self.send_response(engine.status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is written."""

    return Handler


def _keep(
    loop: asyncio.AbstractEventLoop, socket: Path, engine: Engine, port: int, listening: threading.Event
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wish = ASK.validate_json(await reader.readline())
        assert isinstance(wish, Wish)
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


def _granted(port: int, engine: Engine) -> Granted:
    return Granted(
        lease="1",
        url=f"http://127.0.0.1:{port}",
        key=KEY,
        served_name="minilm",
        context=256,
        slots=1,
        generation=1,
        chosen=Chosen(
            model="minilm", version="1", digest=engine.digest, engine=EngineKind.LLAMACPP, reason="asked for"
        ),
    )
