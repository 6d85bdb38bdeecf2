"""What ``/v1`` adds to an engine's own time, and what it holds: the real web process, token, quota and keeper."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from appliance.lib.config import ROOT
from appliance.lib.home import Home
from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.bench.caller import Caller
from appliance.processes.bench.quiet import ticks_of
from appliance.processes.bench.rows import Row, percentile

REQUESTS, WARM, PIECES, STREAMS = 400, 40, 60, 100
_STARTS_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses: of the engine, of ``/v1``, and of an application that does nothing, on the same server as ``/v1``."""

    engine: str
    box: str
    bare: str
    box_pid: int
    bare_pid: int


@dataclass(frozen=True, slots=True)
class Request:
    """What one takes: the median in ms, and the processor's time in ms of the process that answers it."""

    took: float
    processor: float


def gateway(box: Box) -> list[Row]:
    """A web process of its own on the box's database, beside a keeper whose engine answers at once."""
    with _talking(box) as places:
        return asyncio.run(_measure(places, _token(box)))


async def _measure(places: Places, token: str) -> list[Row]:
    direct, bare, box = await _requests(places, token)
    alone, passed = await asyncio.gather(_pieces(places.engine, token), _pieces(places.box, token))
    gathered = asyncio.gather(*(_pieces(places.box, token) for _ in range(STREAMS)))
    await asyncio.sleep(2)
    held = pss_mib(places.box_pid)
    crowd = sorted(late for one in await gathered for late in one)
    return [*overhead(direct, bare, box), *streams(alone, passed, crowd, held)]


def overhead(direct: Request, bare: Request, box: Request) -> list[Row]:
    """Of a request by way of the box, beside what the server alone takes of that."""
    return [
        Row("gateway_overhead_p50_ms", round(box.took - direct.took, 2), "ms", "lower", 3),
        Row("gateway_server_p50_ms", round(bare.took, 2), "ms", "lower"),
        Row("gateway_processor_ms", round(box.processor, 2), "ms", "lower"),
        Row("gateway_server_processor_ms", round(bare.processor, 2), "ms", "lower"),
    ]


def streams(
    alone: Sequence[float], passed: Sequence[float], crowd: Sequence[float], held: float
) -> list[Row]:
    late = percentile(passed, 0.5) - percentile(alone, 0.5)
    return [
        Row("gateway_chunk_overhead_ms", round(late, 2), "ms", "lower", 1),
        Row("gateway_100_streams_chunk_p50_ms", round(percentile(crowd, 0.5), 2), "ms", "lower"),
        Row("gateway_100_streams_mib", round(held, 1), "MiB", "lower", 200),
    ]


async def _requests(places: Places, token: str) -> tuple[Request, Request, Request]:
    """The same request to the engine itself, to the application that does nothing, and by way of the box, by turns."""
    took: tuple[list[float], list[float], list[float]] = ([], [], [])
    begun = 0, 0
    async with (
        Caller(places.engine, token) as direct,
        Caller(places.bare, token) as bare,
        Caller(places.box, token) as box,
    ):
        for number in range(WARM + REQUESTS):
            if number == WARM:
                # The first ones make connections, and look the token up.
                begun = ticks_of(places.bare_pid), ticks_of(places.box_pid)
            for caller, times in zip((direct, bare, box), took, strict=True):
                began = time.perf_counter()
                await caller.whole()
                times.append((time.perf_counter() - began) * 1000)
    used = ticks_of(places.bare_pid) - begun[0], ticks_of(places.box_pid) - begun[1]
    each = [0.0, *(ticks * 1000 / os.sysconf("SC_CLK_TCK") / REQUESTS for ticks in used)]
    found = [Request(percentile(times[WARM:], 0.5), each[at]) for at, times in enumerate(took)]
    return found[0], found[1], found[2]


async def _pieces(place: str, token: str) -> list[float]:
    """How late each piece of a stream is, in ms."""
    async with Caller(place, token) as caller:
        return await caller.pieces(PIECES)


@contextmanager
def _talking(box: Box) -> Iterator[Places]:
    home = Home.at(box.home.parent / "gateway")
    home.runtime.mkdir(mode=0o700, exist_ok=True)
    listen, bare = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    environment = {
        **box.environment,
        "MILLWRIGHT_HOME": str(home.path),
        "MILLWRIGHT_LISTEN": listen,
        "DATABASE_URL": box.config.database_url,
        "REDIS_URL": box.config.redis_url,
        "MQTT_URL": box.config.mqtt_url,
        "DJANGO_SETTINGS_MODULE": "webadmin.settings",
    }
    log = box.home.parent / "gateway.log"
    python = [sys.executable, "-m"]
    started: list[subprocess.Popen[str]] = []

    def start(*command: str, said: int | None = None) -> subprocess.Popen[str]:
        with log.open("ab") as written:
            process = subprocess.Popen(
                command, env=environment, cwd=ROOT, text=True, stdout=said or written, stderr=written
            )
        started.append(process)
        return process

    try:
        talker = start(
            *python, "appliance.processes.bench.talker", str(home.keeper_socket), said=subprocess.PIPE
        )
        web = start(sys.executable, str(ROOT / "manage.py"), "web")
        alone = start(*python, "appliance.processes.bench.bare", bare)
        assert talker.stdout is not None
        engine = talker.stdout.readline().strip()
        _wait(f"http://{listen}/healthz", log)
        _wait(f"http://{bare}/", log)
        yield Places(engine, f"http://{listen}", f"http://{bare}", web.pid, alone.pid)
    finally:
        for process in started:
            process.terminate()
            process.wait(30)


def _token(box: Box) -> str:
    name, _ = box.add_person("operator")
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
