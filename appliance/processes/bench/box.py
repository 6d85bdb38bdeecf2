"""A box to measure: the real ``manage.py up`` in a home of its own."""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import httpx
import psycopg

from appliance.lib.config import ROOT, Config, read_config
from appliance.processes.bench.wire import Wire

START_SECONDS = 120.0
_OF_THE_MACHINE = frozenset({"MILLWRIGHT_CONTAINER_ENGINE"})


class Box:
    """Starts on entry, stops on exit; the home goes with it unless one was given. ``settings`` are MILLWRIGHT_…"""

    services: ClassVar[bool] = True

    def __init__(self, home: Path | None = None, /, **settings: str) -> None:
        self._folder = (
            None if home else tempfile.TemporaryDirectory(prefix="mw-bench-", ignore_cleanup_errors=True)
        )
        if self._folder:
            Path(self._folder.name).chmod(0o755)
        self.home = home or Path(self._folder.name if self._folder else "") / "home"
        own = ("MILLWRIGHT_", "DATABASE_URL", "REDIS_URL", "MQTT_URL")
        # Whatever the shell is set to is of another box; the engine is the machine's.
        clean = {k: v for k, v in os.environ.items() if not k.startswith(own) or k in _OF_THE_MACHINE}
        self.environment = {**clean, "MILLWRIGHT_HOME": str(self.home), **settings}
        self.config: Config = read_config(self.environment)
        self._process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0
        self.lateness: list[float] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it, and take its home away unless that was given."""
        self.stop()
        if self._folder:
            self._folder.cleanup()

    def start(self) -> None:
        began = time.monotonic()
        command = [sys.executable, str(ROOT / "manage.py"), "up"]
        command += [] if self.services else ["--engines-only"]
        with (self.home.parent / "up.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.wait_ready(START_SECONDS)
        self.start_seconds = time.monotonic() - began

    def wait_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.ready():
            if (self._process and self._process.poll() is not None) or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the box did not start: {(self.home.parent / 'up.log').read_text()[-2000:]}"
                )
            time.sleep(0.05)

    def ready(self) -> bool:
        if not self.services:
            return self._database_answers()
        host, port = self.config.http_listen
        try:
            return httpx.get(f"http://{host}:{port}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def _database_answers(self) -> bool:
        try:
            psycopg.connect(self.config.database_url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def restart(self, **settings: str) -> None:
        """Stop it, and start it with other settings on the same home."""
        self.stop()
        self.environment |= settings
        self.config = read_config(self.environment)
        self.start()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """It stands still meanwhile, so that another box can be measured."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(90)
        self._process = None

    def manage(self, *arguments: str, seconds: float = 60) -> str:
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"manage.py {' '.join(arguments)}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return done.stdout

    def add_person(self, role: str) -> tuple[str, str]:
        """A new one, as ``(name, password)``."""
        name, password = f"bench-{time.time_ns()}", secrets.token_urlsafe(24)
        file = self.home.parent / f"{name}.password"
        file.write_text(password)
        self.manage("users", "add", name, "--role", role, "--password-file", str(file))
        file.unlink()
        return name, password

    def parts(self) -> dict[str, int]:
        """Pid by part."""
        status: dict[str, Any] = json.loads(self.manage("status", "--json"))
        return {part["name"]: part["pid"] for part in status["parts"] if part["pid"]}

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish to the box's broker, and return when it has them all."""
        wire = Wire(*self.broker, client_id=f"bench-publish-{time.time_ns()}")
        for topic, payload in messages:
            wire.publish(topic, payload)
        deadline = time.monotonic() + 30
        while wire.acknowledged < len(messages) and time.monotonic() < deadline:
            wire.pump(0.1)
            for _ in wire.messages():
                pass
        wire.close()

    @property
    def broker(self) -> tuple[str, int, str, str]:
        parts = urlsplit(self.config.mqtt_url)
        return parts.hostname or "127.0.0.1", parts.port or 1883, parts.username or "", parts.password or ""


class Engines(Box):
    """The engines of a box alone, without services."""

    services = False


def pss_mib(pid: int) -> float:
    """Proportional set size of a process and its descendants, in MiB (/proc/PID/smaps_rollup)."""
    total = 0.0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                total += pss_mib(int(child))
    except OSError:
        return total
    return total
