"""Which paths a job sees."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH114, PTH115, PTH208

import os

from appliance.sandbox.process import landlock
from appliance.sandbox.process.request import Refused, Request

_OPEN_HANDLE = os.O_PATH | os.O_CLOEXEC

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store")
# The name resolver's file is a link into one of the last four on many systems.
_FACTS = (
    "/proc", "/sys", "/var/log", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf",
    "/run/connman",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Places:
    """The system's own paths, and those that no job ever gets, but for ``models``: what a job declares of it, it may
    read."""

    __slots__ = ("_forbidden", "_models", "_system")

    def __init__(self, forbidden: list[str], models: str = "") -> None:
        self._models = models
        self._forbidden = [os.path.realpath(path) for path in forbidden]
        self._system: list[tuple[str, int]] = []
        for paths, rights in ((_PROGRAMS, landlock.READ), (_FACTS, landlock.LIST_AND_READ)):
            for path in paths:
                real = os.path.realpath(path)
                if all(real != known for known, _ in self._system):
                    self._system += [(piece, rights) for piece in self._without_forbidden(real)]
        self._system += [(path, landlock.USE_DEVICE) for path in _DEVICES]

    def _without_forbidden(self, path: str) -> list[str]:
        """``path``, or when a forbidden one lies in it, those beside that one: Landlock has no exceptions."""
        if any(path == bad or path.startswith(bad + "/") for bad in self._forbidden):
            return []
        if not any(bad.startswith(path.rstrip("/") + "/") for bad in self._forbidden):
            return [path]
        try:
            names = os.listdir(path)
        except OSError:
            return []
        pieces: list[str] = []
        for name in names:
            inner = f"{path.rstrip('/')}/{name}"
            if not os.path.islink(inner):  # what it points to has a rule of its own, or none
                pieces += self._without_forbidden(inner)
        return pieces

    def rules(self, version: int) -> landlock.Ruleset:
        """Rules with what every job sees."""
        rules = landlock.Ruleset(version)
        for path, rights in self._system:
            self._allow(rules, path, rights)
        return rules

    def declare(self, rules: landlock.Ruleset, request: Request, workdir_fd: int) -> None:
        """Add what one job sees beside that. Raises Refused when it asks for a path that it cannot have."""
        for path in request.reads:
            # What is not there, the command itself will miss, and say so.
            self._allow(rules, path, landlock.READ, declared=True, only_read=True)
        for path in request.writes:
            if not self._allow(rules, path, landlock.WRITE, declared=True):
                raise Refused(
                    f"{path} is to be written but is not there.", "Make it first, or declare its folder."
                )
        rules.allow(workdir_fd, landlock.WRITE)

    def open_workdir(self, path: str) -> tuple[str, int]:
        """The working folder that a job names, opened. Raises Refused."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._refuse_own(path, os.path.realpath(path), only_read=False)
            raise Refused(f"The working folder {path} cannot be opened: {error.strerror}.") from error
        return self._check(path, fd, only_read=False), fd

    def _allow(
        self,
        rules: landlock.Ruleset,
        path: str,
        rights: int,
        *,
        declared: bool = False,
        only_read: bool = False,
    ) -> bool:
        try:
            fd = os.open(path, _OPEN_HANDLE)
        except OSError:
            if declared:
                self._refuse_own(
                    path, os.path.realpath(path), only_read=only_read
                )  # what is hidden is not there either
            return False
        try:
            if declared:
                self._check(path, fd, only_read=only_read)
            rules.allow(fd, rights)
        finally:
            os.close(fd)
        return True

    def _check(self, path: str, fd: int, *, only_read: bool) -> str:
        """Where an open path really lies: asked of the open file, as links can be swapped meanwhile."""
        real = os.readlink(f"/proc/self/fd/{fd}")
        self._refuse_own(path, real, only_read=only_read)
        return real

    def _refuse_own(self, path: str, real: str, *, only_read: bool) -> None:
        if only_read and self._models and real.startswith(self._models + "/"):
            return
        for bad in self._forbidden:
            if real == bad or real.startswith(bad + "/") or bad.startswith(real.rstrip("/") + "/"):
                raise Refused(
                    f"{path} lies in, or holds, a folder of the appliance itself, which no job may touch.",
                    "Declare the exact folder that the command needs.",
                )
