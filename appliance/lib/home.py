"""The home of a box: one folder with all that must be backed up, and the source of every other name."""

import errno
import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from appliance.lib.errors import MillwrightError

LONGEST_RUNTIME = 80
"""Bytes: a socket's path ends at 107, and the process manager adds ``/supervisor.sock.<pid>``."""

FIRST_HTTP_PORT, FIRST_MQTT_PORT, PORTS = 20000, 26000, 6000
"""Below 32768, where the kernel takes the ports of outgoing connections from."""

FIRST_UID, UIDS = 61184, 2160
"""systemd's range for users that exist only while a service runs; two of them per home."""

_PLAIN = re.compile(r"[A-Za-z0-9/_.+-]+")
_ID = re.compile(r"[0-9a-f]{12}")


class HomeUnusable(MillwrightError):
    code = "home.unusable"


@dataclass(frozen=True, slots=True)
class Home:
    """One box's folder. ``id`` is random and made once; ports, sockets and users derive from it."""

    path: Path
    id: str

    @classmethod
    def at(cls, path: Path) -> "Home":
        """The home at ``path``, made (0700) when it is not there. Raises HomeUnusable."""
        whole = path.expanduser().absolute()
        try:
            whole.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(whole, _identity(whole))
        except OSError as error:
            raise HomeUnusable(
                f"the home {whole} cannot be used: {error.strerror}",
                hint="set MILLWRIGHT_HOME to a folder that this user can write",
            ) from error

    @property
    def _number(self) -> int:
        return int(hashlib.sha256(self.id.encode()).hexdigest()[:8], 16)

    @property
    def http_port(self) -> int:
        return FIRST_HTTP_PORT + self._number % PORTS

    @property
    def mqtt_port(self) -> int:
        return FIRST_MQTT_PORT + self._number % PORTS

    @property
    def service_uid(self) -> int:
        """The numeric user of the services when they are started as root."""
        return FIRST_UID + 2 * (self._number % UIDS)

    @property
    def sandbox_uid(self) -> int:
        """The numeric user of sandboxed steps when the box is started as root."""
        return self.service_uid + 1

    @property
    def runtime(self) -> Path:
        """The private folder of sockets.

        It follows from the path and the id alone: every process of the box finds the same one, whoever
        runs it. A path too long for a socket, or one that a URL would have to quote, gives one under /tmp.
        """
        inside = self.path / "run"
        if len(os.fsencode(inside)) <= LONGEST_RUNTIME and _PLAIN.fullmatch(str(inside)):
            return inside
        return Path("/tmp") / f"millwright-{self.id}"  # noqa: S108 - its owner and mode are checked at each start

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def models(self) -> Path:
        """The model repository."""
        return self.path / "models"

    @property
    def cache(self) -> Path:
        """Where engines of models keep what they compiled, unless the settings name another place."""
        return self.path / "cache"

    @property
    def keeper_socket(self) -> Path:
        return self.runtime / "keeper.sock"

    @property
    def spawner_socket(self) -> Path:
        return self.runtime / "spawner.sock"

    @property
    def guard_socket(self) -> Path:
        return self.runtime / "guard.sock"

    def secret(self, name: str) -> str:
        """The secret of that name: 256 bits, made on first use, in its file (0600). Raises HomeUnusable."""
        file = self.secrets / name
        try:
            known = _read(file)
            if known is None:
                self.secrets.mkdir(mode=0o700, exist_ok=True)
                known = _make_once(file, secrets.token_urlsafe(32), 0o600, owner_of(self.path))
        except OSError as error:
            raise HomeUnusable(f"the secret {file} cannot be read or made: {error.strerror}") from error
        if not known:
            raise HomeUnusable(f"the secret {file} is empty", hint="restore it from a backup")
        return known


def owner_of(folder: Path) -> tuple[int, int]:
    """User and group of what services write in a folder of the home; root gives them what it makes there.

    On a box that root started the top folders stay root's, with the services' group, which has their user's
    number.
    """
    found = folder.stat()
    return (found.st_gid, found.st_gid) if found.st_uid == 0 else (found.st_uid, found.st_gid)


def _identity(path: Path) -> str:
    file = path / "id"
    found = _read(file)
    if found is None:
        found = _make_once(file, secrets.token_hex(6), 0o644)
    if not _ID.fullmatch(found):
        raise HomeUnusable(f"{file} does not hold an identity", hint="restore it from a backup")
    return found


def _read(file: Path) -> str | None:
    """The text of a small file, None when there is none. Links are refused: root follows no service."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(handle) as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        return opened.read(4096).strip()


def _make_once(file: Path, text: str, mode: int, owner: tuple[int, int] | None = None) -> str:
    """Write the file complete or not at all. Of several who try, one wins, and all give its text."""
    own = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "w") as opened:
            opened.write(text + "\n")
            opened.flush()
            os.fchmod(handle, mode)
            if owner is not None and os.geteuid() == 0:
                os.fchown(handle, *owner)
            os.fsync(handle)
        file.hardlink_to(own)
    except FileExistsError:
        text = _read(file) or ""
    finally:
        own.unlink()
    return text
