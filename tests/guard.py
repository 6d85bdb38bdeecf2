"""A real guard for tests: the command itself, on a home and an engine of the test's own."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from appliance.lib.config import ROOT
from appliance.lib.home import Home
from appliance.processes.launch import start_time
from appliance.processes.layout import pid_folder
from appliance.sandbox.docker.client import DockerSandbox, GuardClient, Where
from appliance.sandbox.docker.request import TemplateName
from tests.container_engine import PrivateEngine
from tests.kernel_rules import why_no_rules

START_SECONDS = 60.0


@dataclass(slots=True)
class RunningGuard:
    """A guard process, its home, and how to ask it."""

    process: "subprocess.Popen[bytes]"
    home: Home
    engine: PrivateEngine
    client: GuardClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = GuardClient(self.home.guard_socket)

    def sandbox(
        self, template: TemplateName = "strict", *, image: str = "", run: str = "", step: str = ""
    ) -> DockerSandbox:
        where = Where(image or self.engine.image, template, run, step)
        return DockerSandbox(self.home.guard_socket, where)

    def containers(self) -> list[dict[str, object]]:
        """What the engine has of this home, whatever its state."""
        with self.engine.client() as client:
            return list(client.containers(all=True, filters={"label": f"millwright.home={self.home.id}"}))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=40)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=15)


def no_engine(folder: Path) -> PrivateEngine:
    """Of a machine without one."""
    return PrivateEngine(f"unix://{folder}/no-engine.sock", 0, "")


def note_spawner(home: Home, pid: int) -> None:
    """Note a process as the spawner whose jobs guard turns away. There is none here: one that has no children."""
    (pid_folder(home) / "spawner").write_text(f"{pid} {start_time(pid)}\n")


def start_guard(folder: Path, engine: PrivateEngine, **settings: str) -> RunningGuard:
    """Start guard with its home under ``folder``; gives it when it listens. ``settings`` are MILLWRIGHT_…"""
    why_no_rules()  # compiles and mounts what guard finds then, as the start of a box does
    home = Home.at(folder / "home")
    for place in (home.runtime, home.secrets):
        place.mkdir(mode=0o700, exist_ok=True)
    home.guard_socket.unlink(missing_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "MILLWRIGHT_HOME": str(home.path),
        "MILLWRIGHT_ENV_FILE": os.devnull,
        "MILLWRIGHT_CONTAINER_ENGINE": engine.url,
        **settings,
    }
    log = folder / "guard.log"
    pid_folder(home).mkdir(mode=0o700, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "guard"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    note_spawner(home, process.pid)
    deadline = time.monotonic() + START_SECONDS
    while not home.guard_socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"guard did not start: {log.read_text()[-2000:]}")
        time.sleep(0.02)
    return RunningGuard(process, home, engine)
