"""The folders of a home, and who may do what in them.

Started by an ordinary user everything is that user's alone. Started by root, services have a user of their
own: they share the sticky top folders with root, own their data, and only read what root's process manager
writes or executes. While this runs nothing of the box runs (the caller holds the lock), so what is checked
here stays true.
"""

import os
from pathlib import Path

from appliance.lib.folders import held_folder
from appliance.lib.home import Home, HomeUnusable
from appliance.processes.privilege import Privilege

_PRIVATE, _SHARED, _SHOWN = 0o700, 0o1770, 0o750
_PASSED, _READ_BY_ALL = 0o1771, 0o755
"""Engines of models run as the user of the sandbox, and reach the repository through the home."""


def lay_out(home: Home, privilege: Privilege) -> None:
    """Make the folders that are missing, and mend owners and modes. Raises HomeUnusable."""
    dropped = privilege.uid is not None
    shared = (home.path, home.runtime, home.secrets, home.data)
    shown = (home.logs, settings_folder(home))
    for folder in shared:
        mode = _PASSED if folder == home.path else _SHARED
        _folder(folder, privilege, mode if dropped else _PRIVATE, home.service_uid)
    for folder in shown:
        _folder(folder, privilege, _SHOWN if dropped else _PRIVATE, home.service_uid)
    _folder(pid_folder(home), Privilege(privilege.root), _PRIVATE, home.service_uid)
    service_folder(home.models, privilege).chmod(_READ_BY_ALL if dropped else _PRIVATE)
    for folder in shared if privilege.root else ():
        for entry in folder.iterdir():
            if entry not in (*shared, *shown, pid_folder(home), lock_file(home), home.cache):
                _give(entry, privilege)


def settings_folder(home: Home) -> Path:
    """What the engines and the process manager read at their start."""
    return home.path / "config"


def pid_folder(home: Home) -> Path:
    return home.runtime / "pids"


def lock_file(home: Home) -> Path:
    return home.path / "up.lock"


def place_file(home: Home, number: int) -> Path:
    return home.path / f"worker-{number}.lock"


def service_folder(path: Path, privilege: Privilege) -> Path:
    """A folder that belongs to the services. Raises HomeUnusable where a link lies in its place."""
    path.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    with held_folder(path, _PRIVATE):  # refuses a link
        pass
    _give(path, privilege)
    return path


def _folder(path: Path, privilege: Privilege, mode: int, service_uid: int) -> None:
    try:
        with held_folder(path, _PRIVATE) as handle:
            # A folder under /tmp may have been put there by anybody.
            if os.fstat(handle).st_uid not in (os.geteuid(), service_uid):
                raise HomeUnusable(
                    f"{path} is not a folder of this box", hint="look at it, remove it, and start again"
                )
            if os.geteuid() == 0:
                os.fchown(handle, 0, privilege.uid or 0)
            os.fchmod(handle, mode)
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be made: {error.strerror}") from error


def _give(path: Path, privilege: Privilege) -> None:
    if privilege.root and path.lstat().st_uid != (privilege.uid or 0):
        privilege.hand_over(path)
