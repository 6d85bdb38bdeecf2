"""Waits for the process manager after ``up`` has done its work: small, and all that stays in the foreground.

Run as ``python -I -S attend.py PID SOCKET`` in place of ``up`` (exec), so that the process manager stays
its child, and with the password in MW_PASSWORD. A part that the process manager has given up is started
again.
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

from appliance.processes import control

REVIVE_SECONDS = 10.0
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(manager: int, door: Path) -> int:
    password = os.environ.pop("MW_PASSWORD")
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        stopping.set()
        with contextlib.suppress(ProcessLookupError):
            os.kill(manager, signal.SIGTERM)

    for number in STOPPING:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=revive, args=(door, password, stopping), daemon=True).start()
    try:
        _, status = os.waitpid(manager, 0)
    except ChildProcessError:
        return 1
    if stopping.is_set() or os.waitstatus_to_exitcode(status) == 0:
        return 0
    sys.stderr.write("The process manager has ended unexpectedly; start the box again with make up.\n")
    return 1


def revive(door: Path, password: str, stopping: threading.Event) -> None:
    """Start what the process manager has given up, until ``stopping`` is set."""
    while not stopping.wait(REVIVE_SECONDS):
        with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            for part in control.call(door, password, "getAllProcessInfo"):
                if part["statename"] == "FATAL":
                    control.call(door, password, "startProcess", part["name"], False)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
