"""The broker of the peers: private, on a loopback port, nothing kept on disk."""

import os
import shutil
import signal
import socket
import subprocess
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.processes.engines import nats
from appliance.sandbox.process.kernel import die_with_parent

START_SECONDS, STOP_SECONDS = 15.0, 10.0
_SYSTEM = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"
_MOSQUITTO = """\
{user}listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 1000
max_queued_messages 100000
set_tcp_nodelay true
"""
_NATS = """\
server_name: "bench"
host: 127.0.0.1
port: -1
jetstream {{ store_dir: "{folder}/jetstream" }}
mqtt {{ host: 127.0.0.1, port: {port}, max_ack_pending: 1000 }}
"""


class PrivateBroker:
    """Debian's Mosquitto where it is there, else the NATS that the box brings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM)
        self.kind = "mosquitto" if self._mosquitto else "nats"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int, str, str]:
        """Host, port, and neither user nor password."""
        return "127.0.0.1", self.port, "", ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, signal.SIGTERM, os.getpid()),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(
                    f"{self.kind} did not start: {(self._folder / 'broker.log').read_text()[-500:]}"
                )
            time.sleep(0.02)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Empty."""
        self.stop()
        shutil.rmtree(self._folder / "jetstream", ignore_errors=True)
        self.start()

    def _command(self) -> list[str]:
        config = self._folder / "broker.conf"
        if self._mosquitto:
            # Else it looks for a user of its own, who cannot read the folder.
            user = "user root\n" if os.geteuid() == 0 else ""
            config.write_text(_MOSQUITTO.format(port=self.port, user=user))
            return [self._mosquitto, "-c", str(config)]
        config.write_text(_NATS.format(port=self.port, folder=self._folder))
        return [nats.program(), "-c", str(config)]

    def _answers(self) -> bool:
        with socket.socket() as sock:
            sock.settimeout(0.5)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
