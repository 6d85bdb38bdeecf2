"""Starts ``up`` in the background and waits until it says that the box is up."""

import os
import subprocess
import sys
from collections.abc import Sequence

from appliance.lib.config import ROOT, Config
from appliance.processes.manager import PartFailed


def start_detached(config: Config, options: Sequence[str]) -> str:
    """Gives what ``up`` said. Raises PartFailed with it when the box did not come up."""
    config.home.logs.mkdir(mode=0o700, exist_ok=True)
    output = config.home.logs / "up.log"
    ours, theirs = os.pipe()
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", f"--ready-fd={theirs}", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs],
            start_new_session=True,
        )
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        # Ends when it says "up", and also when it dies.
        up = pipe.read() == b"up"
    said = output.read_text(errors="replace").strip()
    if not up:
        process.wait()
        raise PartFailed(said or "up said nothing", hint=f"its log is {output}")
    return said
