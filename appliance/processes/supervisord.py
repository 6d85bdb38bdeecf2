"""Runs the process manager: with a standard error that never fails, and services that the fork server forks.

What supervisor cannot write to a log it reports on standard error, and that ends in a file on the same disk: where the
disk is full the report would fail too, and end supervisor, and with it everything that it looks after.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from supervisor import options, process, supervisord

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from appliance.processes.forkserver import NAME
from appliance.processes.forkserver.orders import Orders


class Process(process.Subprocess):  # type: ignore[misc]  # supervisor has no types
    """A program of ours. The fork server's standard input is where it takes orders."""

    _door = -1

    def spawn(self) -> Any:
        manager = self.config.options
        manager.starting = self
        if self.config.name != NAME or self.pid:
            return super().spawn()
        with manager.orders.open_door() as door:
            self._door = door.fileno()
            return super().spawn()

    def _prepare_child_fds(self) -> None:
        if self.config.name == NAME:
            os.dup2(self._door, self.pipes["child_stdin"])
        super()._prepare_child_fds()


class ProcessConfig(options.ProcessConfig):  # type: ignore[misc]
    def make_process(self, group: Any = None) -> Process:
        made = Process(self)
        made.group = group
        return made


class Options(options.ServerOptions):  # type: ignore[misc]
    """Supervisor's, with another way to start what may be forked."""

    starting: Process

    def __init__(self) -> None:
        super().__init__()
        programs = json.loads(os.environ["MILLWRIGHT_PROGRAMS"])
        self._forked = {name for name, program in programs.items() if program["forked"]}
        self.orders = Orders(Path(next(iter(programs.values()))["pids"]))

    def processes_from_section(self, parser: Any, section: str, group_name: str, klass: Any = None) -> Any:
        # ``stack`` writes sections of programs only, for which supervisor would name its own class.
        return super().processes_from_section(parser, section, group_name, ProcessConfig)

    def fork(self) -> int:
        """As os.fork to supervisor: 0 in a child that is still to become its program."""
        name, pipes = self.starting.config.name, self.starting.pipes
        if name in self._forked:
            pid = self.orders.fork(name, pipes["child_stdin"], pipes["child_stdout"], self.pidhistory)
            if pid is not None:
                return pid
        return os.fork()


class _Stderr(io.TextIOBase):
    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="replace"))
        return len(text)


if __name__ == "__main__":
    sys.stderr = _Stderr()
    supervisord.ServerOptions = Options  # its own main makes them
    supervisord.main()
