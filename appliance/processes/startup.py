"""What ``manage.py up`` does, step by step."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from appliance.lib.config import Config, KernelRulesMode
from appliance.lib.errors import MillwrightError
from appliance.processes import forkserver, go_ahead, leftovers, lock
from appliance.processes.certificate import certificate_for
from appliance.processes.engines import Engine, nats, postgres, redis
from appliance.processes.layout import lay_out
from appliance.processes.manager import Manager, PartFailed, tail
from appliance.processes.privilege import Privilege
from appliance.processes.programs import engine_program, service_programs
from appliance.processes.stack import engines, manager_environment, write_supervisor
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.mounts import mount_bpffs

Say = Callable[[str], None]

_SUPERVISORD = Path(__file__).with_name("supervisord.py")
_MANAGER_SECONDS = 20.0
_ENGINE_SECONDS = 60.0
_STOP_SECONDS = 120.0
_LOAD_SECONDS = 30.0


class PortTaken(MillwrightError):
    code = "stack.port_taken"


class Startup:
    """One start of the stack of one home. Every method raises MillwrightError."""

    def __init__(self, config: Config, say: Say) -> None:
        self._config = config
        self._home = config.home
        self._say = say
        self._engines: list[Engine] = []
        self._services: list[str] = []
        self._environment: dict[str, str] = {}
        self.manager = Manager(config.home)
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self, *, services: bool = True, durable: bool = True) -> None:
        """Lock the home, clear leftovers, check ports, write every configuration."""
        config, home = self._config, self._home
        privilege = Privilege.of(home)
        self._lock = lock.take(home)
        lay_out(home, privilege)
        ended = leftovers.clear(home)
        if ended:
            self._say(f"Cleared what an earlier start had left: {', '.join(ended)}.")
        check_ports(config)
        go_ahead.withhold(home)
        forkserver.loaded_file(home).unlink(missing_ok=True)
        if privilege.in_place:
            self._say(f"Note: {privilege.in_place}.")
        if privilege.root and config.kernel_rules is not KernelRulesMode.OFF:
            with contextlib.suppress(NoKernelRules):  # guard says on the health page what is missing
                mount_bpffs()
        certificate = certificate_for(config, privilege)
        self._engines = engines(config, privilege, certificate, durable=durable)
        programs = [engine_program(engine, config, privilege) for engine in self._engines]
        if services:
            own = service_programs(config, privilege, certificate)
            self._services = [program.name for program in own]
            programs += own
        self._settings = write_supervisor(config, programs)
        self._environment = manager_environment(config, programs, self.manager.password)

    def start_manager(self) -> None:
        """Start the process manager as our child; it dies with us."""
        output = self._home.logs / "supervisord.out"
        command = [sys.executable, "-P", str(_SUPERVISORD), "-n", "-c", str(self._settings)]
        with output.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home.logs,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + _MANAGER_SECONDS
        while not self.manager.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise PartFailed(
                    f"the process manager did not start: {tail(output)}", hint=f"its log is {output}"
                )
            time.sleep(0.03)

    def start_engines(self) -> None:
        """Start the engines, without waiting for them."""
        for engine in self._engines:
            self.manager.start(engine.name)

    def load_services(self) -> None:
        """Start the services; they load, and wait for the go-ahead. Most are forked when what they share is loaded."""
        for name in self._services:
            self.manager.start(name)
            if name == forkserver.NAME:
                self._await_loaded(_LOAD_SECONDS)

    def _await_loaded(self, seconds: float) -> None:
        """Where it takes longer the services are started one by one, and the fork server serves their restarts."""
        deadline = time.monotonic() + seconds
        while not forkserver.loaded_file(self._home).exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def let_services_begin(self) -> None:
        """The database is as they need it."""
        go_ahead.give(self._home)

    def await_engines(self, *, may_create_databases: bool = False) -> None:
        """Return when each engine answers."""
        config, home = self._config, self._home
        ready: dict[str, Callable[[], bool]] = {
            "postgres": lambda: postgres.answers(home),
            "redis": lambda: redis.answers(config),
            "nats": lambda: nats.answers(config),
        }
        for engine in self._engines:
            log = home.logs / f"{engine.name}.log"
            self.manager.wait(engine.name, log, ready[engine.name], _ENGINE_SECONDS)
        if "postgres" in config.embedded:
            postgres.create_database(home, may_create_databases=may_create_databases)

    def wait_ready(self, seconds: float) -> str:
        """Wait for ``/readyz``; gives what is still missing, empty when all is there."""
        config = self._config
        host, port = config.http_listen
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        url = f"http{'s' * config.http_tls}://{shown}:{port}/readyz"
        deadline, said = time.monotonic() + seconds, "the web admin does not answer yet"
        # To ourselves: whose certificate it is does not matter.
        # It answers within three seconds also when an engine hangs, and says which.
        with httpx.Client(timeout=5, trust_env=False, verify=False) as client:  # noqa: S501
            while time.monotonic() < deadline:
                try:
                    answer = client.get(url, headers={"Host": "127.0.0.1"})
                    if answer.status_code == 200:
                        return ""
                    parts = answer.json().get("parts", {})
                    said = ", ".join(
                        f"{k}: {v.get('message')}" for k, v in parts.items() if not v.get("healthy")
                    )
                except (httpx.HTTPError, ValueError, AttributeError):
                    pass
                time.sleep(0.1)
        return said

    def broker_folder(self) -> list[str]:
        """Where the embedded broker says how to ask it; none where the box does not run it."""
        return [str(self._home.path / "nats")] if "nats" in self._config.embedded else []

    def stop(self) -> None:
        """Stop all in order: services first, engines last."""
        go_ahead.withhold(self._home)
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if hasattr(self, "_lock"):
            os.close(self._lock)
            del self._lock


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


def check_ports(config: Config) -> None:
    """Raises PortTaken with the variable to set, and a port that is free."""
    checks = [("MILLWRIGHT_LISTEN", "the web admin", config.http_listen)]
    if "nats" in config.embedded:
        checks.append(("MILLWRIGHT_MQTT_LISTEN", "the MQTT broker", config.mqtt_listen))
    for variable, what, (host, port) in checks:
        problem = _refusal(host, port)
        if problem is None:
            continue
        if problem == errno.EADDRINUSE:
            other = next(
                p for p in (*range(port + 1, 65536), *range(1024, port)) if _refusal(host, p) is None
            )
            raise PortTaken(
                f"port {port} on {host}, which {what} would use, is taken by another program",
                hint=f"port {other} is free: set {variable}={host}:{other}",
            )
        raise PortTaken(
            f"{what} cannot listen on {host}:{port}: {os.strerror(problem)}",
            hint=f"set {variable} to an address of this machine, such as 127.0.0.1:{max(port, 1024)}",
        )


def _refusal(host: str, port: int) -> int | None:
    """Why a listener could not be made here, as an errno; None when it could."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            return error.errno
    return None
