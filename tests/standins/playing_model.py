"""A server in OpenAI's protocol that passes a box's tests of models, and plays an agent as a test has it."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

from appliance.inference.catalogue.manifest import Manifest, ModelFile, Shape
from appliance.inference.catalogue.repository import MANIFEST
from appliance.inference.domain import ModelFormat
from appliance.processes.bench.box import Box

Play = Callable[[str], Any]
"""From all that the model is told to what it answers: an object of the agent's form."""


@dataclass
class PlayingModel:
    """``play`` answers each turn of an agent; ``goes_on`` holds it up, so that people see it think."""

    play: Play
    url: str = ""
    goes_on: threading.Event = field(default_factory=threading.Event)
    told: list[str] = field(default_factory=list)

    def answer(self, body: dict[str, Any]) -> str:
        told = "\n".join(str(one["content"]) for one in body.get("messages", ()))
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        if schema is None:
            return "It is."
        if "say" in schema.get("properties", {}):
            self.told.append(told)
            self.goes_on.wait(60)
            return json.dumps(self.play(told), ensure_ascii=False)
        return json.dumps(fitting(schema))


def fitting(schema: dict[str, Any]) -> Any:
    """The first thing that comes to mind and fits."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    match schema.get("type"):
        case "object":
            return {name: fitting(one) for name, one in schema.get("properties", {}).items()}
        case "array":
            return [fitting(schema["items"])] * schema.get("minItems", 0)
        case "boolean":
            return True
        case "integer" | "number":
            return 1
    return "it is"


@contextmanager
def playing(play: Play) -> Iterator[PlayingModel]:
    model = PlayingModel(play)
    model.goes_on.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
    model.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        model.goes_on.set()
        server.shutdown()
        server.server_close()


def serve_on(box: Box, model: PlayingModel) -> None:
    """Let the box's keeper serve it as ``playing``, as if it had passed its tests."""
    folder = box.config.home.models / "playing" / "1"
    folder.mkdir(parents=True)
    file = folder / "remote.json"
    file.write_text(json.dumps({"url": model.url, "model": "playing"}))
    manifest = Manifest(
        name="playing",
        version="1",
        format=ModelFormat.REMOTE,
        files=(
            ModelFile(
                path=file.name, size=file.stat().st_size, sha256=hashlib.sha256(file.read_bytes()).hexdigest()
            ),
        ),
        main=file.name,
        context=32_768,
        shape=Shape(layers=2, kv_heads=4, head_size=64),
        chat_template=True,
        added_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    with psycopg.connect(box.config.database_url) as connection:
        connection.execute(_SERVE, (manifest.digest,))


_SERVE = """
INSERT INTO inference_servedmodel (name, version, digest, previous, engine, context, slots, device, options,
    enabled, revision, changed_at, changed_by)
VALUES ('playing', '1', %s, '', 'remote', 16384, 4, '', '{}', true, 1, now(), 'box')
"""


def _handler(model: PlayingModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, "application/json", json.dumps({"data": [{"id": "playing"}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = model.answer(body)
            words = re.findall(r"\S+\s*", text)[: int(body.get("max_tokens") or 1024)]
            asked = sum(len(re.findall(r"\S+", str(one["content"]))) for one in body.get("messages", ()))
            usage = {"prompt_tokens": asked, "completion_tokens": max(1, len(words))}
            if body.get("stream"):
                self._send(200, "text/event-stream", b"".join(_events(words, usage)))
            else:
                self._send(200, "application/json", _whole("".join(words), usage))

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler


def _whole(text: str, usage: dict[str, int]) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "text": text,
        "finish_reason": "stop",
    }
    return json.dumps({"id": "c1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


def _events(words: list[str], usage: dict[str, int]) -> Iterator[bytes]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "playing"}
    for word in words:
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        yield b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield b"data: " + json.dumps({**head, "choices": [end]}).encode() + b"\n\n"
    usage["total_tokens"] = sum(usage.values())
    yield b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"
