"""Which folders of the machine a container may see: those that the settings name, and what lies below them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.sandbox.docker.beneath import open_in_root
from appliance.sandbox.process.request import Refused

_RESERVED = ("/proc", "/sys", "/dev", "/job", "/tmp", "/sbin/docker-init")  # noqa: S108 - inside the container
_OPEN = os.O_PATH | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Mount:
    """A checked folder or file, held open until the container has it."""

    path: str
    source: str
    """Where it really lies."""
    fd: int
    writable: bool

    def is_in(self, pid: int) -> bool:
        """Whether the container of that process has just what was checked: its path may lead elsewhere since."""
        checked = os.fstat(self.fd)
        try:
            mounted = _seen_by(pid, self.path)
        except OSError:
            return False
        return (mounted.st_dev, mounted.st_ino) == (checked.st_dev, checked.st_ino)


class Allowed:
    """``reads`` and ``writes`` are folders; ``forbidden`` what no container ever gets, also not from within them."""

    def __init__(self, reads: Sequence[Path], writes: Sequence[Path], forbidden: Sequence[Path]) -> None:
        self._reads = [os.path.realpath(path) for path in (*reads, *writes)]
        self._writes = [os.path.realpath(path) for path in writes]
        self._forbidden = [os.path.realpath(path) for path in forbidden]

    def open(self, reads: Sequence[str], writes: Sequence[str]) -> list[Mount]:
        """The mounts of one job; the caller closes them. Raises Refused."""
        found: list[Mount] = []
        try:
            for path in dict.fromkeys(reads):
                if path not in writes:
                    found.append(self._open(path, self._reads, "MILLWRIGHT_CONTAINER_READS"))
            for path in dict.fromkeys(writes):
                found.append(self._open(path, self._writes, "MILLWRIGHT_CONTAINER_WRITES", writable=True))
        except BaseException:
            close(found)
            raise
        return found

    def _open(self, path: str, allowed: Sequence[str], setting: str, *, writable: bool = False) -> Mount:
        if any(_within(path, reserved) for reserved in _RESERVED) or path.strip("/") == "":
            raise Refused(f"{path} is a place of the container's own.")
        try:
            fd = os.open(path, _OPEN)
        except OSError as error:
            raise Refused(f"{path} cannot be mounted: {error.strerror}.", "Make it first.") from error
        real = str(Path(f"/proc/self/fd/{fd}").readlink())
        if not any(_within(real, folder) for folder in allowed):
            os.close(fd)
            raise Refused(
                f"{path} does not lie below a folder that containers may {'write' if writable else 'read'}.",
                f"An administrator names such folders in {setting}.",
            )
        if any(_within(real, bad) or _within(bad, real) for bad in self._forbidden):
            os.close(fd)
            raise Refused(f"{path} lies in, or holds, what belongs to the appliance or the container engine.")
        return Mount(path, real, fd, writable)


def _seen_by(pid: int, path: str) -> os.stat_result:
    """What lies there for a process with a root of its own: the links of its image lead where they lead for it."""
    root = os.open(f"/proc/{pid}/root", _OPEN | os.O_DIRECTORY)
    try:
        fd = open_in_root(root, path)
    finally:
        os.close(root)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def close(mounts: Sequence[Mount]) -> None:
    for mount in mounts:
        os.close(mount.fd)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
