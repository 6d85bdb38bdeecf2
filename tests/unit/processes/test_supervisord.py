"""The process manager outlives a disk on which its own complaints find no room."""

import subprocess
import sys
from pathlib import Path

from appliance.processes import startup

SCRIPT = """
import runpy, sys, supervisor.supervisord
def complain():
    print("no room for a log", file=sys.stderr, flush=True)
    print("still here")
supervisor.supervisord.main = complain
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_a_complaint_that_cannot_be_written_ends_nothing() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(startup._SUPERVISORD)],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, b"still here\n")


def test_a_complaint_that_can_be_written_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(startup._SUPERVISORD)],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == b"no room for a log\n"
