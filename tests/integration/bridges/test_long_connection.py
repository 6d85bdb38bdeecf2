"""A connection that the box keeps: whatever ends it, it comes back, through its proxy and never through another's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.sync.server import ServerConnection

from appliance.bridges.long_connection import LongConnection
from appliance.outbox.errors import NotReady, PlatformAway
from tests.standins.server import Asked, Standin, Told
from tests.standins.socks import SocksProxy
from tests.wait import wait_for_async


class Echo(Standin):
    """Says hello and listens."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def answer(self, asked: Asked) -> Told:
        return Told(404)

    def attend(self, connection: ServerConnection) -> None:
        connection.send("hello")
        for frame in connection:
            self.heard.append(str(frame))


class Line:
    """Acknowledges every frame."""

    def __init__(self, address: str) -> None:
        self.where = address
        self.frames: list[Any] = []
        self.refusals: list[Exception] = []

    async def address(self) -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        return self.where

    async def serve(self, socket: ClientConnection) -> None:
        async for frame in socket:
            self.frames.append(frame)
            await socket.send(f"ack {len(self.frames)}")


@pytest.fixture
def platform() -> Iterator[Echo]:
    with Echo() as standin:
        yield standin


@asynccontextmanager
async def kept(line: Line, proxy: str | None = None) -> AsyncIterator[LongConnection]:
    connection = LongConnection("chat", line, proxy, first_pause=0.05)
    running = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_it_comes_back_whatever_ends_it(platform: Echo) -> None:
    line = Line(platform.socket_root)
    line.refusals = [PlatformAway("not now"), RuntimeError("a bug")]
    async with kept(line) as connection:
        await wait_for_async(lambda: platform.heard == ["ack 1"])
        assert (connection.is_open, connection.trouble) == (True, "")
        platform.hang_up()
        await wait_for_async(lambda: platform.heard == ["ack 1", "ack 2"])
        await wait_for_async(lambda: connection.trouble == "")


async def test_a_refused_token_waits_for_a_person_and_is_said(platform: Echo) -> None:
    line = Line(platform.socket_root)
    line.refusals = [NotReady("the platform refuses the token")]
    async with kept(line) as connection:
        await wait_for_async(lambda: connection.trouble == "the platform refuses the token")
        await asyncio.sleep(0.3)
        assert platform.heard == [], "it does not hammer"


@pytest.mark.parametrize(("scheme", "user"), [("socks5", ""), ("socks5h", "me"), ("socks5", "me")])
async def test_it_goes_through_its_own_proxy(platform: Echo, scheme: str, user: str) -> None:
    with SocksProxy(user, "hush") as proxy:
        async with kept(Line(platform.socket_root), proxy.url(scheme)):
            await wait_for_async(lambda: platform.heard == ["ack 1"])
        assert len(proxy.asked) == 1


async def test_a_proxy_of_the_environment_is_not_its_own(
    platform: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with kept(Line(platform.socket_root)):
        await wait_for_async(lambda: platform.heard == ["ack 1"])


async def test_a_proxy_that_refuses_is_said_without_its_password(
    platform: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    with SocksProxy("me", "right") as proxy:
        async with kept(Line(platform.socket_root), proxy.url().replace("right", "wr0ng-pass")) as connection:
            await wait_for_async(lambda: proxy.refused >= 2)
            await wait_for_async(lambda: "failed" in connection.trouble)
            assert "wr0ng-pass" not in connection.trouble + caplog.text
    assert platform.heard == []


class Tunnel:
    """On the way to the platform. What it was carrying when it froze goes nowhere, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._frozen: set[asyncio.StreamWriter] = set()

    def freeze(self) -> None:
        self._frozen.update(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there_writer]
        await asyncio.gather(self._pipe(reader, there_writer), self._pipe(there_reader, writer))

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if target not in self._frozen:
                    target.write(data)
        target.close()


async def test_a_connection_that_is_open_and_dead_is_noticed_by_the_probe_and_replaced(
    platform: Echo,
) -> None:
    tunnel = Tunnel(int(platform.socket_root.rpartition(":")[2].strip("/")))
    async with await asyncio.start_server(tunnel.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with kept(Line(f"ws://127.0.0.1:{port}")) as connection:
            await wait_for_async(lambda: platform.heard == ["ack 1"])
            assert await connection.round_trip() > 0
            tunnel.freeze()
            assert (connection.is_open, connection.trouble) == (True, "")
            with pytest.raises(PlatformAway, match="does not answer on the long connection"):
                await connection.round_trip(limit=0.2)
            await wait_for_async(lambda: platform.heard == ["ack 1", "ack 2"])
            assert await connection.round_trip() > 0
