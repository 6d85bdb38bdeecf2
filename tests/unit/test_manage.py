"""The command line, before any command of its own."""

import os
import subprocess
import sys
from pathlib import Path

from appliance.lib.config import ROOT


def test_a_box_that_does_not_run_is_told_in_two_lines(tmp_path: Path) -> None:
    environment = {**os.environ, "MILLWRIGHT_HOME": str(tmp_path / "home")}
    for name in ("DATABASE_URL", "REDIS_URL", "MQTT_URL"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "tasks", "list"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "does not answer" in done.stderr.splitlines()[0]
    assert "make up" in done.stderr.splitlines()[1]
    assert "Traceback" not in done.stderr
