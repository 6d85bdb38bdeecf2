"""What stays in the foreground: it waits, passes on the signal to stop, and revives what was given up."""

import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest

from appliance.processes import attend, broker_store, control
from tests.wait import wait_for


class _Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/RPC2",)
    disable_nagle_algorithm = False

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Door(socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    """A real XML-RPC server on a unix socket, with the methods of supervisor that are used."""

    logRequests = False  # noqa: N815 - the name that the handler looks for

    def __init__(self, path: Path, states: dict[str, str]) -> None:
        SimpleXMLRPCDispatcher.__init__(self, allow_none=True, encoding="utf-8")
        self.states, self.started, self.ended = states, list[str](), list[str]()
        self.register_function(self._all, "supervisor.getAllProcessInfo")
        self.register_function(self._start, "supervisor.startProcess")
        self.register_function(self._signal, "supervisor.signalProcess")
        super().__init__(str(path), _Handler)

    def _all(self) -> list[dict[str, str]]:
        return [{"name": name, "statename": state} for name, state in self.states.items()]

    def _signal(self, *arguments: Any) -> bool:
        self.ended.append(" ".join(arguments))
        return True

    def _start(self, *arguments: Any) -> bool:
        name, _ = arguments
        self.started.append(name)
        self.states[name] = "STARTING"
        return True


@pytest.fixture
def door(tmp_path: Path) -> Iterator[_Door]:
    states = {"web": "FATAL", "worker": "RUNNING", "beat": "BACKOFF", "nats": "STOPPED"}
    with _Door(tmp_path / "door.sock", states) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_part_that_was_given_up_is_started_again_and_no_other(
    door: _Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "REVIVE_SECONDS", 0.02)
    stopping = threading.Event()
    thread = threading.Thread(target=attend.revive, args=(tmp_path / "door.sock", "password", stopping))
    thread.start()
    wait_for(lambda: door.started, what="the fatal part is started")
    stopping.set()
    thread.join()
    assert door.started == ["web"]


def test_a_broker_that_gave_up_its_store_is_ended_so_that_it_is_started_again(
    door: _Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "REVIVE_SECONDS", 0.02)
    looks = [False, True, False, False, False]
    monkeypatch.setattr(
        broker_store, "given_up", lambda folder: folder == tmp_path and looks and looks.pop(0)
    )
    stopping = threading.Event()
    given = (tmp_path / "door.sock", "password", stopping, tmp_path)
    thread = threading.Thread(target=attend.revive, args=given)
    thread.start()
    wait_for(lambda: not looks, what="it has looked")
    stopping.set()
    thread.join()
    assert door.ended == ["nats TERM"]


def test_an_unreachable_manager_does_not_end_the_attendance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "REVIVE_SECONDS", 0.01)
    with pytest.raises(OSError, match="No such file"):
        control.call(tmp_path / "none.sock", "", "getState")
    stopping = threading.Event()
    thread = threading.Thread(target=attend.revive, args=(tmp_path / "none.sock", "", stopping))
    thread.start()
    assert not stopping.wait(0.1)
    assert thread.is_alive()
    stopping.set()
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_signal_to_stop_reaches_the_manager_even_when_it_comes_early(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The starter blocks the signals over the exec, so one that comes before the handlers waits for them."""
    marker = tmp_path / "stopped"
    starter = f"""
import os, signal, subprocess, sys
manager = subprocess.Popen(["/bin/sh", "-c", "trap 'touch {marker}; exit 0' TERM; while :; do sleep 0.02; done"])
signal.pthread_sigmask(signal.SIG_BLOCK, {[int(n) for n in attend.STOPPING]!r})
os.kill(os.getpid(), {int(number)})
os.execve(sys.executable, [sys.executable, "-I", "-S", {attend.__file__!r}, str(manager.pid), "/none"],
          {{"MW_PASSWORD": ""}})
"""
    done = subprocess.run(
        [sys.executable, "-c", starter], timeout=30, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert marker.exists()


def test_a_manager_that_is_killed_is_told(tmp_path: Path) -> None:
    starter = f"""
import os, subprocess, sys
manager = subprocess.Popen(["/bin/sh", "-c", "kill -9 $$"])
os.execve(sys.executable, [sys.executable, "-I", "-S", {attend.__file__!r}, str(manager.pid), "/none"],
          {{"MW_PASSWORD": ""}})
"""
    done = subprocess.run(
        [sys.executable, "-c", starter], timeout=30, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ended unexpectedly" in done.stderr
    assert os.linesep in done.stderr
