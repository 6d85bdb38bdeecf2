"""Only a broker that says itself that it cannot write is started again, and only where there is room."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from appliance.processes import broker_store

FAILED = "JetStream stream '$G > $MQTT_msgs' write error: write /x/2.blk: no space left on device"
Say = Callable[[int, dict[str, str]], None]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Say]:
    """A health check that says what it is told to."""
    said: list[tuple[int, dict[str, str]]] = [(200, {"status": "ok"})]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = said[-1]
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        ports = {"nats": [], "monitoring": [f"http://127.0.0.1:{server.server_address[1]}"]}
        (tmp_path / "nats-server_1.ports").write_text(json.dumps(ports))
        yield lambda status, body: said.append((status, body))
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "error", "found"),
    [
        (200, "", False),
        (503, FAILED, True),
        (503, "JetStream has been disabled", True),
        (503, "JetStream is not current with the meta leader", False),
    ],
)
def test_what_it_says_decides(broker: Say, tmp_path: Path, status: int, error: str, found: bool) -> None:
    broker(status, {"status": "ok" if status == 200 else "unavailable", "error": error})
    assert broker_store.given_up(tmp_path) is found


def test_without_room_it_is_left_alone(broker: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker(503, {"error": FAILED})
    monkeypatch.setattr(
        os, "statvfs", lambda path: os.statvfs_result((4096, 4096, 1000, 10, 10, 0, 0, 0, 0, 255))
    )
    assert not broker_store.given_up(tmp_path)


def test_one_that_does_not_answer_has_not_said_so(tmp_path: Path) -> None:
    assert not broker_store.given_up(tmp_path / "none")
    assert not broker_store.given_up(tmp_path)
    (tmp_path / "nats-server_1.ports").write_text('{"monitoring": []}')
    assert not broker_store.given_up(tmp_path)
    (tmp_path / "nats-server_1.ports").write_text('{"monitoring": ["http://127.0.0.1:1"]}')
    assert not broker_store.given_up(tmp_path)
