"""The embedded broker's accounts file, and the signal that makes it read the file again."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from appliance.devices.domain import Account, render_users
from appliance.lib.atomic import write_atomically


def write_users(folder: Path, accounts: Iterable[Account], box_id: str) -> None:
    """Replace ``users.conf`` in the broker's folder. The box's own entry stands beside it in ``box.conf``.

    The file goes to whoever owns the folder: the broker may run as another user than this command.
    """
    box = (folder / "box.conf").read_text(encoding="utf-8")
    users = folder / "users.conf"
    write_atomically(users, render_users(box, accounts, box_id).encode())
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(users, owner.st_uid, owner.st_gid)


def reload_broker(folder: Path) -> bool:
    """Make the broker that runs on this folder read its accounts; False if none runs that we may signal."""
    pid = _running(folder / "nats.conf")
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGHUP)
        return True
    return False


def _running(config: Path) -> int | None:
    """The server started with ``-c CONFIG``, by its command line: a pid file can name a stranger."""
    wanted = str(config).encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has just ended
            if wanted in arguments and Path(os.fsdecode(arguments[0])).name == "nats-server":
                return int(entry.name)
    return None
