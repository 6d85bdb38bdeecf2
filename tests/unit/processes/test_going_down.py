"""A service that is asked to end knows whether the box goes down, or only itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from appliance.lib.home import Home
from appliance.processes import attend, go_ahead


def test_the_go_ahead_is_what_tells_a_restart_from_the_end(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.runtime.mkdir(parents=True, exist_ok=True)
    environment = {go_ahead.VARIABLE: str(go_ahead.file_of(home))}
    go_ahead.give(home)
    assert not go_ahead.is_withdrawn(environment)
    go_ahead.withhold(home)
    assert go_ahead.is_withdrawn(environment)
    assert go_ahead.is_withdrawn({}), (
        "another process manager says nothing: what is asked to end is to be gone"
    )


def test_whoever_attends_to_the_box_takes_it_back_before_anything_ends(tmp_path: Path) -> None:
    assert attend.GO_AHEAD == go_ahead.NAME
    mark = tmp_path / go_ahead.NAME
    mark.touch()
    script = f"""
import os, signal, sys, threading, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from appliance.processes import attend
manager = os.fork()
if not manager:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0 if not Path({str(mark)!r}).exists() else 3))
    print("up", flush=True)
    while True:
        time.sleep(60)
os.environ["MW_PASSWORD"] = "x"
status = attend.main(manager, Path({str(tmp_path / "supervisor.sock")!r}))
sys.exit(status)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        # Its handlers are set right after the fork; a signal before them would end it at once.
        while process.poll() is None and mark.exists():
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            if caught & (1 << (signal.SIGTERM - 1)):
                process.send_signal(signal.SIGTERM)
                break
        assert process.wait(20) == 0
    assert not mark.exists()
