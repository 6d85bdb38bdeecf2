"""The process manager of one home, as the rest of the product sees it."""

import time
import xmlrpc.client
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from appliance.lib.errors import MillwrightError
from appliance.lib.home import Home
from appliance.processes import control


class NotRunning(MillwrightError):
    code = "stack.not_running"


class PartFailed(MillwrightError):
    code = "stack.part_failed"


@dataclass(frozen=True, slots=True)
class Part:
    """One process: its state as the process manager has it, and since how many seconds."""

    name: str
    state: str
    pid: int
    uptime: int
    description: str


class Manager:
    """Raises NotRunning when there is none."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def socket(self) -> Path:
        return self._home.runtime / "supervisor.sock"

    @property
    def password(self) -> str:
        return self._home.secret("supervisor")

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return control.call(self.socket, self.password, name, *arguments)
        except (OSError, HTTPException, xmlrpc.client.ProtocolError) as error:
            raise NotRunning(
                f"the box of {self._home.path} is not running", hint="start it with make up"
            ) from error

    def answers(self) -> bool:
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except NotRunning:
            return False

    def start(self, name: str) -> None:
        """Start a part without waiting for it. Raises PartFailed."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise PartFailed(f"{name} could not be started: {fault.faultString}") from fault

    def parts(self) -> list[Part]:
        return [
            Part(
                name=str(info["name"]),
                state=str(info["statename"]).lower(),
                pid=int(info["pid"]),
                uptime=max(0, int(info["now"]) - int(info["start"])) if info["pid"] else 0,
                description=str(info["description"]),
            )
            for info in self._call("getAllProcessInfo")
        ]

    def wait(self, name: str, log: Path, ready: Any, seconds: float) -> None:
        """Wait until ``ready()``. Raises PartFailed with the end of its log when the part ends before, or
        is late."""
        deadline = time.monotonic() + seconds
        while not ready():
            state = next((part.state for part in self.parts() if part.name == name), "absent")
            if time.monotonic() > deadline or state in ("fatal", "exited", "backoff"):
                raise PartFailed(f"{name} did not start: {tail(log)}", hint=f"its log is {log}")
            time.sleep(0.03)


def tail(log: Path, size: int = 500) -> str:
    """The end of a log, for an error message."""
    try:
        return log.read_bytes()[-size:].decode(errors="replace").strip() or "it said nothing"
    except OSError:
        return "it left no log"
