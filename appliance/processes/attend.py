"""Waits for the process manager after ``up`` has done its work: small, and all that stays in the foreground.

Run as ``python -I -S attend.py PID SOCKET [FOLDER]`` in place of ``up`` (exec), so that the process manager stays
its child, and with the password in MW_PASSWORD. A part that the process manager has given up is started
again; so is the broker of FOLDER when it has given up its store.
"""

import contextlib
import http.client
import os
import signal
import sys
import threading
import xmlrpc.client
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from appliance.processes import broker_store, control

REVIVE_SECONDS = 10.0
GO_AHEAD = "go-ahead"
"""The name that ``go_ahead`` gives it, which is not imported: this process is to stay small."""
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(manager: int, door: Path, broker: Path | None = None) -> int:
    password = os.environ.pop("MW_PASSWORD")
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        stopping.set()
        with contextlib.suppress(OSError):  # what ends now is not to be started again: go_ahead.py
            (door.parent / GO_AHEAD).unlink(missing_ok=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(manager, signal.SIGTERM)

    for number in STOPPING:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=revive, args=(door, password, stopping, broker), daemon=True).start()
    try:
        _, status = os.waitpid(manager, 0)
    except ChildProcessError:
        return 1
    if stopping.is_set() or os.waitstatus_to_exitcode(status) == 0:
        return 0
    sys.stderr.write("The process manager has ended unexpectedly; start the box again with make up.\n")
    return 1


def revive(door: Path, password: str, stopping: threading.Event, broker: Path | None = None) -> None:
    """Start what the process manager has given up, and what has given up itself, until ``stopping`` is set."""
    while not stopping.wait(REVIVE_SECONDS):
        with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            for part in control.call(door, password, "getAllProcessInfo"):
                if part["statename"] == "FATAL":
                    control.call(door, password, "startProcess", part["name"], False)
            if broker is not None and broker_store.given_up(broker):
                control.call(door, password, "signalProcess", "nats", "TERM")  # what ends is started again


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *map(Path, sys.argv[2:])))
