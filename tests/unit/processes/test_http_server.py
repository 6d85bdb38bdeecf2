"""The event loop that pages and ``/v1`` are served by."""

import subprocess
import sys


def test_the_server_runs_on_the_fast_loop() -> None:
    """In a process of its own: the reactor is chosen once, by whoever loads Twisted first."""
    script = (
        "from appliance.processes import http_server\n"
        "from twisted.internet import reactor\n"
        "print(type(reactor._asyncioEventloop).__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "uvloop"
