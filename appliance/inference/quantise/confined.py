"""Where an engine runs that is tried for a moment: in the box's sandbox, else in one for this command alone."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from appliance.inference.errors import ModelUnavailable
from appliance.lib.home import Home
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Sandbox
from appliance.sandbox.process.client import ProcessSandbox
from appliance.sandbox.process.command import spawner_argv

_ENDS_WITHIN = 15.0


@contextlib.contextmanager
def sandbox_at_hand(home: Home) -> Iterator[Sandbox]:
    """Raises ModelUnavailable where nothing can be confined here."""
    box = ProcessSandbox(home.spawner_socket)
    if _works(box):
        yield box
        return
    with tempfile.TemporaryDirectory(prefix="mw-trial-") as name:
        folder = Path(name)
        uid = home.sandbox_uid if os.geteuid() == 0 else None
        argv = spawner_argv(
            folder / "spawner.sock", home.path, uid=uid, gid=uid, spool=folder / "spool", models=home.models
        )
        if uid is not None:
            folder.chmod(0o711)
        running = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert running.stdout
            own = ProcessSandbox(folder / "spawner.sock")
            if not running.stdout.readline().startswith(b"listening") or not _works(own):
                raise ModelUnavailable(
                    "this machine cannot confine an engine", hint="manage.py doctor says why"
                )
            yield own
        finally:
            running.terminate()
            running.wait(_ENDS_WITHIN)
            if running.stdout:
                running.stdout.close()


def _works(sandbox: ProcessSandbox) -> bool:
    try:
        asyncio.run(sandbox.probe())
    except SandboxUnavailable:
        return False
    return True
