"""Which user the services run as when the box is started as root, and who owns what in its home."""

import contextlib
import os
import pwd
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from appliance.lib.config import ROOT
from appliance.lib.errors import MillwrightError
from appliance.lib.folders import FOLDER_ITSELF, NO_FOLDER
from appliance.lib.home import Home

_PROBE = """
import os, sys
os.stat(os.path.join(sys.argv[1], "."))
import django, psycopg, celery, paho.mqtt.client, appliance.lib.config
os.stat(os.path.join(sys.argv[2], "manage.py"))
"""


class HomeOfSomebodyElse(MillwrightError):
    code = "home.somebody_else"


@dataclass(frozen=True, slots=True)
class Privilege:
    """``uid`` is the user that services change to; None: they stay who started them.

    ``in_place`` says why root's services stay user 0, without any of root's powers.
    """

    root: bool
    uid: int | None = None
    in_place: str = ""

    @classmethod
    def of(cls, home: Home) -> "Privilege":
        """What holds for this home and whoever runs us. Raises HomeOfSomebodyElse."""
        owner, me = home.path.stat().st_uid, os.geteuid()
        if owner not in (me, home.service_uid):
            raise HomeOfSomebodyElse(
                f"the home {home.path} belongs to {user_name(owner)}, and this is {user_name(me)}",
                hint=f"start the box as {user_name(owner)}, or choose another MILLWRIGHT_HOME",
            )
        if me != 0:
            return cls(root=False)
        blocked = _blocked(home)
        if not blocked:
            return cls(root=True, uid=home.service_uid)
        said = (
            "the services stay user 0, without any of root's powers, because other users cannot read "
            f"{blocked}; with code, Python and home in folders that all can read, such as /opt and /srv, "
            "they change to a user of their own"
        )
        return cls(root=True, in_place=said)

    @property
    def needs_a_name(self) -> bool:
        """Whether the services' user is unknown to the system; initdb refuses such a one."""
        try:
            pwd.getpwuid(os.geteuid() if self.uid is None else self.uid)
        except KeyError:
            return True
        return False

    @property
    def postgres_in_namespace(self) -> bool:
        """PostgreSQL refuses user 0: there it runs as somebody else in a user namespace of its own."""
        return self.root and self.uid is None

    def hand_over(self, *paths: Path) -> None:
        """Give files, and folders with all that is in them, to the services' user.

        Services may be at work in them, so nothing is reached twice by its name, and no link is followed.
        """
        owner = self.uid or 0
        for path in paths if self.root else ():
            try:
                folder = os.open(path, FOLDER_ITSELF)
            except OSError as error:
                if error.errno not in NO_FOLDER:
                    raise
                os.chown(path, owner, owner, follow_symlinks=False)
                continue
            try:
                _give_all(folder, owner)
            finally:
                os.close(folder)

    def show(self, *paths: Path) -> None:
        """Let the services' user read what stays root's: files that services may not change."""
        if self.uid is None:
            return
        for path in paths:
            os.chown(path, 0, self.uid, follow_symlinks=False)
            path.chmod(0o750 if path.is_dir() else 0o640)


def _give_all(folder: int, owner: int) -> None:
    os.fchown(folder, owner, owner)
    for _, folders, files, inside in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # a service has just removed it
                os.chown(name, owner, owner, dir_fd=inside, follow_symlinks=False)


def user_name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _blocked(home: Home) -> str:
    """What keeps the services' user from running our code, empty when nothing does. Tried, not guessed."""
    said = ""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, str(home.path.parent), str(ROOT)],
            cwd="/",
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            user=home.service_uid,
            group=home.service_uid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return ""
        said = (done.stderr.strip().splitlines() or [""])[-1]
    except OSError:
        pass  # the interpreter itself cannot be executed
    for path in (home.path.parent, ROOT, Path(sys.prefix), Path(os.path.realpath(sys.executable))):
        for part in (*reversed(path.parents), path):
            if not part.stat().st_mode & stat.S_IXOTH:
                return str(part)
    return f"all of the code ({said})"
