"""A keeper of models with an engine that costs nothing: ``python -m appliance.processes.bench.talker SOCKET``.

Prints where the engine listens. What it says is the time at which it says it.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from appliance.inference.backends.contract import (
    Footprint,
    Plan,
    Probe,
    Profile,
    Readiness,
    Running,
    Sign,
    Stats,
)
from appliance.inference.backends.llamacpp.dialect import DIALECT
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.domain import EngineKind, ModelFormat
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.leases import Wish
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.ports import Change, Learned, Served
from appliance.inference.scheduling.server import KeeperServer
from appliance.lib.clock import SystemClock

MODEL = "talker"
PAUSE = 0.05
"""Seconds between two pieces: 20 tokens a second, as a model on a small machine."""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As many pieces as ``max_tokens`` says; a single one at once, more of them at their pace."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            count = json.loads(await reader.readexactly(length))["max_tokens"]
            writer.write(_HEAD)
            for number in range(count):
                if number:
                    await asyncio.sleep(PAUSE)
                delta = {"content": str(time.monotonic_ns())}
                _piece(writer, {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            _piece(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            usage = {"prompt_tokens": 1, "completion_tokens": count, "total_tokens": count + 1}
            _piece(writer, {"choices": [], "usage": usage})
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
    writer.close()


def _piece(writer: asyncio.StreamWriter, chunk: dict[str, object]) -> None:
    data = b"data: " + json.dumps({"id": "b", "object": "chat.completion.chunk", **chunk}).encode() + b"\n\n"
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


class Talker:
    """Backend, trial, ledger and shelf of the one model, which is always there."""

    kind = EngineKind.LLAMACPP
    formats = frozenset({ModelFormat.GGUF})
    dialect = DIALECT

    def __init__(self, url: str) -> None:
        self._url = url
        file = ModelFile(path="m", size=1, sha256="0" * 64)
        manifest = Manifest(
            name=MODEL,
            version="1",
            format=ModelFormat.GGUF,
            files=(file,),
            main="m",
            added_at=datetime.now(UTC),
        )
        self._served = Served(manifest, Path("/"), Profile(self.kind, context=4096, slots=200), None)

    async def probe(self) -> Probe:
        return Probe(True)

    def plan(
        self, model: Manifest, folder: Path, profile: Profile, hardware: Hardware, learned: Footprint | None
    ) -> Plan:
        return Plan(model, folder, profile, Footprint(0, 1, measured=True), ())

    async def start(self, plan: Plan, generation: int) -> Running:
        return Running(MODEL, generation, self._url, "", datetime.now(UTC))

    async def ready(self, running: Running) -> Readiness:
        return Readiness(Sign.READY)

    async def stop(self, running: Running, grace: float) -> None: ...

    async def stats(self, running: Running) -> Stats:
        return Stats()

    async def found(self) -> list[Running]:
        return []

    async def close(self) -> None: ...

    async def completes(self, served: Served, running: Running) -> str:
        return ""

    async def next_generation(self) -> int:
        return 1

    async def changed(self, change: Change) -> None: ...

    async def learned(self, served: Served) -> Learned:
        return Learned(Footprint(0, 1, measured=True), None)

    async def learn(self, served: Served, learned: Learned) -> None: ...

    async def served(self) -> Sequence[Served]:
        return [self._served]

    def chain(self, wish: Wish) -> Sequence[str]:
        return [MODEL]


async def _hardware() -> Hardware:
    return Hardware(Processor("bench", 2), 16 << 30, 12 << 30)


async def main(socket: Path) -> None:
    engine = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{engine.sockets[0].getsockname()[1]}"
    talker = Talker(url)
    keeper = Keeper(talker, talker, {talker.kind: talker}, _hardware, talker, SystemClock())
    print(url, flush=True)
    await asyncio.gather(keeper.run(), KeeperServer(keeper, socket).serve())


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
