"""The command line of the spawner."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH100, PTH112

import os
import zlib

USAGE = """\
usage: spawner.py --socket PATH --home HOME [--uid N] [--gid N] [--peer-uid N] [--spool PATH] [--max-jobs N]
                  [--cgroups PATH] [--engine PATH] [--models PATH]

Runs one confined command per connection to the unix socket PATH.
  --home HOME     the folder of the appliance, which no job ever reads
  --uid N         the user that jobs run as; needed when started as root, and only then
  --gid N         their group (default: the same number)
  --peer-uid N    a further user that may connect (root and the spawner's own always may)
  --spool PATH    where the private folders of jobs are made (default: a folder in /var/tmp)
  --max-jobs N    how many jobs run at once (default 128)
  --cgroups PATH  where guard makes the control groups of jobs; a job names the one it is to begin in
  --engine PATH   the container engine's socket, which no job ever gets
  --models PATH   the model repository in the home: what of it a job declares, it may read, and that alone
"""


class UsageError(Exception):
    """The command line cannot be followed; the text says why."""


class Options:
    """What the spawner was started with. ``uid`` is None when jobs run as the spawner's own user."""

    __slots__ = (
        "cgroups",
        "engine",
        "gid",
        "home",
        "max_jobs",
        "models",
        "peer_uid",
        "socket",
        "spool",
        "uid",
    )

    def __init__(self, given: dict[str, str]) -> None:
        for needed in ("--socket", "--home"):
            if not given.get(needed):
                raise UsageError(f"{needed} is needed")
        self.socket = os.path.abspath(given["--socket"])
        self.home = os.path.realpath(given["--home"])
        self.cgroups, self.engine = given.get("--cgroups", ""), given.get("--engine", "")
        self.models = os.path.realpath(given["--models"]) if given.get("--models") else ""
        self.uid = _number(given, "--uid")
        self.gid = _number(given, "--gid") or self.uid or os.getegid()
        self.peer_uid = _number(given, "--peer-uid")
        self.max_jobs = _number(given, "--max-jobs") or 128
        parent = "/var/tmp" if os.path.isdir("/var/tmp") else "/tmp"  # noqa: S108 - its owner is checked
        mark = f"{zlib.crc32(os.fsencode(self.socket)):08x}"
        self.spool = os.path.abspath(given.get("--spool") or f"{parent}/millwright-{os.geteuid()}-{mark}")
        if os.geteuid() == 0 and not self.uid:
            raise UsageError("started as root, so it needs --uid: an ordinary user for the jobs")
        if self.uid is not None and self.uid == self.peer_uid:
            raise UsageError("--peer-uid must differ from --uid: a job could have other jobs run")
        if os.geteuid() != 0 and self.uid is not None:
            if self.uid != os.geteuid():
                raise UsageError("--uid needs a start as root")
            self.uid = None


def parse(arguments: list[str]) -> Options:
    """Read the command line. Raises UsageError."""
    known = {
        "--socket", "--home", "--uid", "--gid", "--peer-uid", "--spool", "--max-jobs", "--cgroups", "--engine",
        "--models",
    }  # fmt: skip
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name = rest.pop(0)
        if name not in known:
            raise UsageError(f"{name} is not an option")
        if not rest:
            raise UsageError(f"{name} needs a value")
        given[name] = rest.pop(0)
    return Options(given)


def _number(given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise UsageError(f"{name} needs a number, not {text!r}")
    return int(text)
