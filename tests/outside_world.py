"""A machine beyond a private engine's networks, so that what must not be reached is really there to be reached."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.container_engine import PrivateEngine
from tests.wait import wait_for

ADDRESS, METADATA = "198.51.100.2", "169.254.169.254"
GREETING = "the world"
_GATEWAY = "198.51.100.1"

# Answers HTTP on port 80, and writes down what it is asked by DNS (as it comes, on port 53).
_SERVE = """
import socket, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class World(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *arguments):
        pass

def note_names():
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind(("0.0.0.0", 53))
    while True:
        query, sender = asked.recvfrom(4096)
        with open(sys.argv[1], "ab") as file:
            file.write(query + b"\\n")

threading.Thread(target=note_names, daemon=True).start()
server = HTTPServer(("0.0.0.0", 80), World)
print("ready", flush=True)
server.serve_forever()
"""


@dataclass(frozen=True, slots=True)
class World:
    """``names`` holds what was asked by DNS: beyond, and of the machine that the engine runs on itself."""

    names: Path

    def heard_of(self, name: str) -> bool:
        return self.names.exists() and name.encode() in self.names.read_bytes()


@contextmanager
def outside_world(engine: PrivateEngine, folder: Path) -> Iterator[World]:
    """Two servers: one beyond the engine's networks, where also the metadata address leads, and one on the machine
    of the engine, on every address of it."""
    names = folder / "names"
    serve = [sys.executable, "-c", _SERVE, str(names), GREETING]
    with (
        _process(["unshare", "--net", *serve]) as beyond,
        _process(engine.inside_network(*serve)),
    ):
        here, there = engine.inside_network("ip"), ["nsenter", f"--net=/proc/{beyond.pid}/ns/net", "ip"]
        for command in (
            [*here, "link", "add", "mw-world", "type", "veth", "peer", "name", "mw-inner"],
            [*here, "link", "set", "mw-inner", "netns", str(beyond.pid)],
            [*here, "address", "add", f"{_GATEWAY}/24", "dev", "mw-world"],
            [*here, "link", "set", "mw-world", "up"],
            [*here, "route", "add", "default", "via", ADDRESS],
            [*there, "address", "add", f"{ADDRESS}/24", "dev", "mw-inner"],
            [*there, "address", "add", f"{METADATA}/32", "dev", "mw-inner"],
            [*there, "link", "set", "mw-inner", "up"],
            [*there, "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True, capture_output=True)
        wait_for(lambda: _greets(engine), 30, "the world answers")
        yield World(names)
        subprocess.run([*here, "link", "delete", "mw-world"], check=True)


def _greets(engine: PrivateEngine) -> bool:
    code = f"import socket; socket.create_connection(('{METADATA}', 80), 2)"
    return not subprocess.run(engine.inside_network(sys.executable, "-c", code), check=False).returncode


@contextmanager
def _process(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()
