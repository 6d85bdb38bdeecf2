"""What ``/v1`` adds to an engine's own time, and what it holds: the real web process, token, quota and keeper."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from appliance.lib.config import ROOT
from appliance.lib.home import Home
from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.bench.talker import MODEL

REQUESTS, PIECES, STREAMS = 400, 60, 100
_STARTS_WITHIN = 120.0


def gateway(box: Box) -> list[Row]:
    """A web process of its own on the box's database, beside a keeper whose engine answers at once."""
    with _talking(box) as (engine, place, pid):
        token = _token(box)
        return asyncio.run(_measure(engine, place, token, pid))


async def _measure(engine: str, place: str, token: str, pid: int) -> list[Row]:
    direct, through = await _requests(engine, place, token)
    alone, passed = await asyncio.gather(_pieces(engine, token), _pieces(place, token))
    gathered = asyncio.gather(*(_pieces(place, token) for _ in range(STREAMS)))
    await asyncio.sleep(2)
    held = pss_mib(pid)
    crowd = sorted(late for one in await gathered for late in one)
    return [
        Row("gateway_overhead_p50_ms", round(through - direct, 2), "ms", "lower", 3),
        Row(
            "gateway_chunk_overhead_ms",
            round(percentile(passed, 0.5) - percentile(alone, 0.5), 2),
            "ms",
            "lower",
            1,
        ),
        Row("gateway_100_streams_chunk_p50_ms", round(percentile(crowd, 0.5), 2), "ms", "lower"),
        Row("gateway_100_streams_mib", round(held, 1), "MiB", "lower", 200),
    ]


async def _requests(engine: str, place: str, token: str) -> tuple[float, float]:
    """p50 in ms of the same request to the engine itself and by way of the box, by turns."""
    took: tuple[list[float], list[float]] = ([], [])
    async with _Caller(engine, token) as direct, _Caller(place, token) as through:
        for number in range(REQUESTS):
            for caller, times in zip((direct, through), took, strict=True):
                began = time.perf_counter()
                await caller.whole()
                # The first ones make connections, and look the token up.
                if number >= REQUESTS // 10:
                    times.append((time.perf_counter() - began) * 1000)
    return percentile(took[0], 0.5), percentile(took[1], 0.5)


async def _pieces(place: str, token: str) -> list[float]:
    """How late each piece of a stream is, in ms."""
    async with _Caller(place, token) as caller:
        return await caller.pieces(PIECES)


class _Caller:
    """A client on one connection that does as little as can be."""

    def __init__(self, place: str, token: str) -> None:
        self._place = urlsplit(place)
        self._token = token

    async def __aenter__(self) -> "_Caller":
        self._reader, self._writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def whole(self) -> None:
        self._ask(1, stream=False)
        head = await self._head()
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if length:
            await self._reader.readexactly(int(length))
        else:
            await self._reader.readuntil(b"0\r\n\r\n")

    async def pieces(self, count: int) -> list[float]:
        self._ask(count, stream=True)
        await self._head()
        late = []
        async for line in self._reader:
            if line.startswith(b"data: {"):
                said = (json.loads(line[6:])["choices"] or [{"delta": {}}])[0]["delta"].get("content")
                if said:
                    late.append((time.monotonic_ns() - int(said)) / 1e6)
            elif line.startswith(b"data: [DONE]"):
                break
        if len(late) != count:
            raise RuntimeError(f"{len(late)} pieces of {count} came")
        return late

    def _ask(self, tokens: int, *, stream: bool) -> None:
        body = json.dumps(
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": "what time is it?"}],
                "max_tokens": tokens,
                "stream": stream,
            }
        ).encode()
        self._writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def _head(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"the box answered {head.splitlines()[0]!r}")
        return head


@contextmanager
def _talking(box: Box) -> Iterator[tuple[str, str, int]]:
    """Addresses of the engine and of ``/v1``, and the web process."""
    home = Home.at(box.home.parent / "gateway")
    home.runtime.mkdir(mode=0o700, exist_ok=True)
    talker = subprocess.Popen(
        [sys.executable, "-m", "appliance.processes.bench.talker", str(home.keeper_socket)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "webadmin.settings"},
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    listen = f"127.0.0.1:{_free_port()}"
    environment = {
        **box.environment,
        "MILLWRIGHT_HOME": str(home.path),
        "MILLWRIGHT_LISTEN": listen,
        "DATABASE_URL": box.config.database_url,
        "REDIS_URL": box.config.redis_url,
        "MQTT_URL": box.config.mqtt_url,
    }
    with (box.home.parent / "gateway.log").open("wb") as log:
        command = [sys.executable, str(ROOT / "manage.py"), "web"]
        web = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        assert talker.stdout is not None
        engine = talker.stdout.readline().strip()
        _wait(f"http://{listen}/healthz", Path(box.home.parent / "gateway.log"))
        yield engine, f"http://{listen}", web.pid
    finally:
        for process in (web, talker):
            process.terminate()
            process.wait(30)


def _token(box: Box) -> str:
    name = f"bench-{time.time_ns()}"
    file = Path(box.home.parent) / "bench-gateway.password"
    file.write_text(secrets.token_urlsafe(24))
    box.manage("users", "add", name, "--role", "operator", "--password-file", str(file))
    said = box.manage("users", "token", name, "bench", "--scope", "use_models")
    return next(word for word in said.split() if word.startswith("mw_"))


def _wait(address: str, log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline:
        try:
            httpx.get(address, timeout=2, trust_env=False)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the web process did not start: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port: int = door.getsockname()[1]
        return port
