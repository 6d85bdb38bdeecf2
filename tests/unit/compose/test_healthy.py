import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from appliance.lib.config import ROOT

PARTS = {"worker": {"healthy": True}, "beat": {"healthy": False}}


class Web(BaseHTTPRequestHandler):
    """Ready it is not, as one part is away."""

    def do_GET(self) -> None:
        ready = self.path == "/readyz"
        self.send_response(503 if ready else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"parts": PARTS}).encode() if ready else b"ok\n")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def healthy(*arguments: str) -> bool:
    command = [sys.executable, "-I", "-S", str(ROOT / "compose/healthy.py"), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done.returncode == 0


def test_says_of_each_part_what_the_box_says(web: str) -> None:
    assert healthy(f"{web}/healthz")
    assert healthy(f"{web}/readyz", "worker")
    assert not healthy(f"{web}/readyz", "beat")
    assert not healthy(f"{web}/readyz", "no-such-part")
    assert not healthy(f"{web}/readyz")


def test_nobody_there_is_not_healthy(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert not healthy(f"http://127.0.0.1:{free.getsockname()[1]}/healthz")
    door = tmp_path / "door"
    assert not healthy(str(door))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(door))
        assert not healthy(str(door))
        listener.listen()
        assert healthy(str(door))
