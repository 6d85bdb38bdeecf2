"""The box as the compose file runs it, on an engine of the tests' own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compose.prepare import prepare
from tests.acceptance.compose.building import ENGINES, IMAGE, build
from tests.container_engine import EngineAway, PrivateEngine, no_engine
from tests.wait import wait_for

PROJECT = "millwright-test"
START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class ComposeBox:
    """``folder`` is a copy of ``compose/`` with its secrets."""

    engine: PrivateEngine
    folder: Path

    def compose(self, *words: str, given: str = "") -> str:
        """What ``docker compose`` says. Fails the test where it fails."""
        command = [*_program(), "-p", PROJECT, "-f", "compose.yaml", "-f", "containers.yaml", *words]
        settings = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": self.engine.url,
            "MILLWRIGHT_IMAGE": IMAGE,
            "MILLWRIGHT_POSTGRES_IMAGE": ENGINES,
            "MILLWRIGHT_REDIS_IMAGE": ENGINES,
            "MILLWRIGHT_MQTT_IMAGE": ENGINES,
            "MILLWRIGHT_ENGINE_SOCKET": self.engine.url.removeprefix("unix://"),
        }
        done = subprocess.run(
            command, cwd=self.folder, env=settings, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def manage(self, *words: str) -> str:
        return self.compose("exec", "-T", "web", "python", "manage.py", *words)

    def outside(self, script: str, *words: str) -> str:
        """What a Python program says that runs where the box's ports are published."""
        command = self.engine.inside_network(sys.executable, script, *words)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    def ready(self) -> dict[str, Any]:
        """``/readyz`` by way of the published port; empty while nobody answers."""
        code = (
            "import sys, urllib.request as u, urllib.error as e\n"
            "try: sys.stdout.buffer.write(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=9).read())\n"
            "except e.HTTPError as error: sys.stdout.buffer.write(error.read())\n"
            "except OSError: print('{}')"
        )
        found: dict[str, Any] = json.loads(self.outside("-c", code, "http://127.0.0.1:8000/readyz"))
        return found

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each service's running container."""
        wanted = {"label": f"com.docker.compose.project={PROJECT}"}
        with self.engine.client() as client:
            return {
                row["Labels"]["com.docker.compose.service"]: client.inspect_container(row["Id"])
                for row in client.containers(filters=wanted)
            }

    def processes(self, container: str) -> list[int]:
        """The machine's numbers of all processes in a container."""
        with self.engine.client() as client:
            return [int(row[0]) for row in client.top(container, "-o pid")["Processes"]]


@pytest.fixture(scope="package")
def composed(
    networked_engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeBox]:
    if missing := [name for name in ("mmdebstrap", "nsenter") if not shutil.which(name)] or not _program():
        no_engine(f"no {missing if isinstance(missing, list) else 'docker compose'} here")
    folder = tmp_path_factory.mktemp("compose")
    try:
        box = ComposeBox(networked_engine, build(networked_engine, folder))
    except EngineAway as error:
        no_engine(str(error))
    prepare(box.folder)
    box.compose("up", "-d")
    wait_for(lambda: box.ready().get("ready"), START_SECONDS, "the box is ready")
    yield box
    box.compose("down", "--volumes", "--timeout", "40")


def _program() -> list[str]:
    """Compose v2 where it is there, else the program before it."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if v2.returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []
