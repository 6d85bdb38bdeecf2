"""Answers of engines as they come over the wire, whole, in chunks, to the connection's end, and broken."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from appliance.inference.domain import EngineKind
from appliance.inference.gateway.engine import Engines
from appliance.inference.gateway.wire import EngineBroken, Place
from appliance.inference.leases import Chosen, Granted

CHOSEN = Chosen(model="m", version="1", digest="0", engine=EngineKind.REMOTE, reason="r")


@asynccontextmanager
async def engine(*answers: bytes, bare: bool = True) -> AsyncIterator[tuple[Granted, list[bytes]]]:
    """Gives each answer, one byte at a time, and hangs up after the last; ``heard`` are the requests."""
    heard: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while left:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
                heard.append(head + await reader.readexactly(length))
                for byte in left.pop(0):
                    writer.write(bytes([byte]))
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" + ("" if bare else "/deep/")
    yield (
        Granted(
            lease="l", url=url, key="k", served_name="m", context=1, slots=1, generation=1, chosen=CHOSEN
        ),
        heard,
    )
    server.close()


async def ask(engines: Engines, granted: Granted) -> tuple[int, bytes]:
    async with AsyncExitStack() as stack:
        reply = await engines.post(stack, granted, "/v1/x", {"a": "漢"})
        return reply.status, b"".join([piece async for piece in reply.pieces])


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=1\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    ],
)
async def test_each_form_of_an_answer_is_read(answer: bytes, body: bytes) -> None:
    engines = Engines()
    async with engine(answer) as (granted, heard):
        assert await ask(engines, granted) == (200, body)
    assert heard[0].endswith('{"a": "漢"}'.encode())
    assert b"Authorization: Bearer k\r\n" in heard[0]
    engines.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_a_broken_engine(answer: bytes) -> None:
    engines = Engines()
    async with engine(answer) as (granted, _):
        with pytest.raises(EngineBroken):
            await ask(engines, granted)
    engines.close()


async def test_nobody_there_is_a_broken_engine() -> None:
    async with engine() as (granted, _):
        pass
    with pytest.raises(EngineBroken, match="no connection"):
        await ask(Engines(), granted)


async def test_a_connection_that_was_left_in_the_middle_is_not_used_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    engines = Engines()
    async with engine(answer, answer, answer, bare=False) as (granted, heard):
        assert await ask(engines, granted) == (200, b"hello")
        async with AsyncExitStack() as stack:
            reply = await engines.post(stack, granted, "/v1/x", {})
            assert await anext(reply.pieces)
        assert await ask(engines, granted) == (200, b"hello")
    assert heard[0].startswith(b"POST /deep/v1/x HTTP/1.1\r\n")
    engines.close()


def test_an_address_may_have_a_path_and_be_secure() -> None:
    place = Place.of("https://user@models.example/openai/")
    assert (place.host, place.port, place.secure, place.path) == ("models.example", 443, True, "/openai")
    assert place.netloc == "models.example"
