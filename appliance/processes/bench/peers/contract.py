"""What every peer does: install itself once, start, answer events, end."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from string import Template
from types import TracebackType
from typing import ClassVar, Self

from appliance.processes.bench.peers.broker import PrivateBroker
from appliance.sandbox.process.kernel import die_with_parent

PROGRAMS = Path(__file__).parent / "programs"
START_SECONDS, STOP_SECONDS = 60.0, 10.0


class PeerMissing(Exception):
    """It cannot be installed or run here; the text says why."""


class Peer(ABC):
    """One product: a connection to ``broker``, events in and messages out. Starts on entry, ends on exit.

    ``cache`` keeps what is installed, ``folder`` is for one run.
    """

    name: ClassVar[str]
    """As its rows name it."""
    packages: ClassVar[tuple[str, ...]]

    def __init__(self, broker: PrivateBroker, cache: Path, folder: Path) -> None:
        self.lateness: list[float] = []
        self._broker = broker
        self._cache = cache
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def broker(self) -> tuple[str, int, str, str]:
        return self._broker.address

    @property
    def log(self) -> Path:
        return self._folder / f"{self.name}.log"

    @abstractmethod
    def install(self) -> None:
        """Bring what is missing into the cache. Raises PeerMissing."""

    @abstractmethod
    def launch(self) -> None:
        """Start its processes with ``spawn``. It answers events some time later."""

    def __enter__(self) -> Self:
        try:
            self.launch()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing of it is left."""
        self.stop()

    def restart(self) -> None:
        """With nothing left of what had piled up: its own state, and its broker's."""
        self.stop()
        self._broker.restart()
        self.launch()

    def stop(self) -> None:
        """The last one started ends first; a group that does not end in time is killed."""
        while self._processes:
            process = self._processes.pop()
            _signal(process, signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            # Also where it ended in order: a child that it left behind is in its group.
            _signal(process, signal.SIGKILL)
            process.wait()

    def write(self, template: str, name: str, **values: object) -> Path:
        """A program or its settings, from ``programs/TEMPLATE``, with where the broker is."""
        host, port, _, _ = self.broker
        text = Template((PROGRAMS / template).read_text()).substitute(HOST=host, PORT=port, **values)
        path = self._folder / name
        path.write_text(text)
        return path

    def spawn(self, command: Sequence[str], **environment: str) -> None:
        """A process in a group of its own, so that it ends with all its children."""
        with self.log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    list(command),
                    cwd=self._folder,
                    env={**_plain(os.environ), **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=partial(die_with_parent, signal.SIGTERM, os.getpid()),
                )
            )


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the box's own settings, nor of Django's."""
    own = ("MILLWRIGHT_", "DATABASE_URL", "REDIS_URL", "MQTT_URL", "DJANGO_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in environment.items() if not name.startswith(own)}


def wait_for_socket(path: Path, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            raise PeerMissing(f"{path.name} did not appear")
        time.sleep(0.02)
