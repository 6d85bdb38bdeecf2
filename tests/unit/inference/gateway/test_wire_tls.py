"""Engines elsewhere, over real TLS: who they are is proven, or nothing is asked of them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.inference.backends.contract import BackendContext, Running, Sign
from appliance.inference.backends.remote.backend import Remote
from appliance.inference.domain import EngineKind
from appliance.inference.gateway.engine import Engines
from appliance.inference.gateway.wire import EngineBroken
from appliance.inference.leases import Chosen, Granted
from appliance.processes.certificate import make_certificate

CHOSEN = Chosen(model="m", version="1", digest="0", engine=EngineKind.REMOTE, reason="r")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@asynccontextmanager
async def server(folder: Path, *names: str) -> AsyncIterator[tuple[int, Path, list[bytes]]]:
    """Port, certificate, and the requests that were heard."""
    certificate, key = folder / "there.crt", folder / "there.key"
    make_certificate(certificate, key, list(names))
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int((head.lower().partition(b"content-length: ")[2] or b"0\r").partition(b"\r")[0])
                heard.append(head + await reader.readexactly(length))
                writer.write(ANSWER)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=secure)
    try:
        yield listening.sockets[0].getsockname()[1], certificate, heard
    finally:
        listening.close()


async def ask(engines: Engines, url: str) -> bytes:
    granted = Granted(
        lease="l", url=url, key="k", served_name="m", context=1, slots=1, generation=1, chosen=CHOSEN
    )
    async with AsyncExitStack() as stack:
        reply = await engines.post(stack, granted, "/v1/x", {"a": 1})
        return b"".join([piece async for piece in reply.pieces])


async def test_one_whose_certificate_the_operators_authority_made_is_asked(tmp_path: Path) -> None:
    async with server(tmp_path, "localhost", "127.0.0.1") as (port, ca, heard):
        engines = Engines(ca)
        for host in ("localhost", "127.0.0.1"):
            assert await ask(engines, f"https://{host}:{port}") == b"hello"
        assert await ask(engines, f"https://localhost:{port}") == b"hello"
        engines.close()
    assert len(heard) == 3
    assert b"Authorization: Bearer k\r\n" in heard[0]


async def test_one_of_another_name_is_not(tmp_path: Path) -> None:
    async with server(tmp_path, "models.example") as (port, ca, heard):
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(EngineBroken, match=r"not who it says: .*mismatch"):
                await ask(Engines(ca), f"https://{host}:{port}")
    assert heard == []


async def test_one_of_an_unknown_authority_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says: the setting alone adds one."""
    async with server(tmp_path, "localhost") as (port, ca, heard):
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        with pytest.raises(EngineBroken, match=r"not who it says: self.signed"):
            await ask(Engines(), f"https://localhost:{port}")
    assert heard == []


async def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.pem").write_text("no certificate")
    for name in ("wrong.pem", "gone.pem"):
        with pytest.raises(EngineBroken, match="cannot be read"):
            await ask(Engines(tmp_path / name), "https://localhost:1")


def backend(port: int, ca: Path | None) -> Remote:
    settings = {"MILLWRIGHT_REMOTE_MODELS": f"localhost:{port}"}
    if ca:
        settings["MILLWRIGHT_REMOTE_MODELS_CA"] = str(ca)
    return Remote(BackendContext("home", Path("/m"), Path("/w"), settings, None))  # type: ignore[arg-type]


async def test_the_keeper_believes_the_same_as_the_gateway(tmp_path: Path) -> None:
    async with server(tmp_path, "localhost") as (port, ca, heard):
        running = Running("mw", 1, f"https://localhost:{port}", "h", datetime.now(UTC))
        known, unknown = backend(port, ca), backend(port, None)
        assert (await known.ready(running)).sign is Sign.READY
        seen = await unknown.ready(running)
        assert (seen.sign, "self-signed certificate" in seen.progress) == (Sign.LOADING, True)
        lost = backend(port, tmp_path / "gone.pem")
        assert "cannot be read" in (await lost.probe()).reason
        for one in (known, unknown, lost):
            await one.close()
    assert len(heard) == 1
