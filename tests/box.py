"""A real box for acceptance tests: ``manage.py up`` on a home of its own, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.lib.config import ROOT, Config, read_config
from appliance.processes.launch import start_time
from tests.wait import wait_for

START_SECONDS = 120.0
STOP_SECONDS = 90.0


@dataclass
class Box:
    """``start`` returns when ``up`` has said that all is up; ``stop`` is what Ctrl-C does."""

    home: Path
    output: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "HOME")
        }
        own = {"MILLWRIGHT_HOME": str(self.home), "MILLWRIGHT_ENV_FILE": os.devnull}
        return {**kept, **own, "MILLWRIGHT_MODELS": "refused", **self.settings}

    @property
    def config(self) -> Config:
        return read_config(self.environment)

    @property
    def url(self) -> str:
        return self.config.public_url

    def launch(self, *options: str, verb: str = "up") -> subprocess.Popen[bytes]:
        """``manage.py up`` (or another command that starts a box) without waiting for anything."""
        command = [sys.executable, str(ROOT / "manage.py"), verb, *options]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        return self.process

    def start(self, *options: str, verb: str = "up") -> None:
        process = self.launch(*options, verb=verb)
        wait_for(lambda: self.is_up() or process.poll() is not None, START_SECONDS, "the box is up")
        assert process.poll() is None, self.said()

    def is_up(self) -> bool:
        """Whether ``up`` has handed over to the small process that attends to it."""
        assert self.process is not None
        try:
            return b"attend.py" in Path(f"/proc/{self.process.pid}/cmdline").read_bytes()
        except OSError:
            return False

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=STOP_SECONDS + 60,
        )

    def status(self) -> dict[str, Any]:
        """What ``status --json`` says, with the parts by their names."""
        found: dict[str, Any] = json.loads(self.manage("status", "--json").stdout)
        return {**found, "parts": {part["name"]: part for part in found["parts"]}}

    def pids(self) -> dict[str, int]:
        """The living processes by the name of their part, read from the box's own pid files."""
        found = {}
        for file in (self.config.home.runtime / "pids").glob("[a-z]*"):
            pid, _, started = file.read_text().strip().partition(" ")
            if start_time(int(pid)) == started:
                found[file.name] = int(pid)
        return found
