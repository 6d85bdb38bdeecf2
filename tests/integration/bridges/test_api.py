"""An answer costs no more memory and no more time than an answer may."""

import gzip
import socket
import threading
from collections.abc import Iterator

import pytest

from appliance.bridges import api
from appliance.bridges.api import LARGEST_ANSWER, PlatformApi
from appliance.outbox.errors import PlatformAway
from tests.standins.server import Asked, Standin, Told


class Flood(Standin):
    """Answers with much."""

    def answer(self, asked: Asked) -> Told:
        if asked.path == "/packed":
            return Told(200, gzip.compress(bytes(50_000_000)), {"Content-Encoding": "gzip"})
        return Told(200, b" " * (LARGEST_ANSWER + 1))


@pytest.fixture
def flood() -> Iterator[Flood]:
    with Flood() as standin:
        yield standin


@pytest.mark.parametrize(("path", "said"), [("/packed", "not asked for"), ("/long", "more than 5 MB")])
async def test_what_is_too_much_is_not_read(flood: Flood, path: str, said: str) -> None:
    client = PlatformApi("Flood", flood.root)
    with pytest.raises(PlatformAway, match=said) as away:
        await client.request("GET", path)
    assert away.value.maybe_sent
    assert flood.calls[0].headers["accept-encoding"] == "identity"
    await client.close()


async def test_an_answer_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "SLACK", 0.2)
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not done.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    client = PlatformApi("Drip", f"http://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(PlatformAway, match="no answer in time"):
        await client.request("GET", "/", timeout=0.5)
    done.set()
    thread.join(5)
    listener.close()
    await client.close()
