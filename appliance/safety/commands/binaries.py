"""The programs that will run: their real paths and digests. The one file here that looks at the disk."""

import hashlib
import os
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from appliance.lib.jsontypes import JsonObject
from appliance.safety.commands.domain import CommandClass, Understanding, strictest

PATH_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where a sandbox looks for programs, in this order."""

SHELL = "/bin/sh"
_PLAIN_SHELLS = frozenset({"dash", "busybox"})
_LARGEST = 512 << 20
_MOST_KEPT = 4096


Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be executed: ``pins`` is the real path and the SHA-256 of each program, in hexadecimal.

    ``seen``: what each file was when its digest was taken (device, inode, size, times in ns): while it still is
    that, nobody has to read it again. ``executable``: the real path of the first program.
    ``untrusted``: sentences about programs that somebody else than root may change; they are pinned all the same.
    ``missing``: names that are no program here.
    """

    pins: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, "Identity"] = field(default_factory=dict)
    executable: str = ""
    untrusted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def kind(self) -> CommandClass:
        """UNKNOWN where a program is not what root put there."""
        return CommandClass.UNKNOWN if self.untrusted else CommandClass.READ

    @property
    def digest(self) -> str:
        """One name for all of it: the SHA-256 of the sorted pins."""
        text = "\n".join(f"{path} {digest}" for path, digest in sorted(self.pins.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_json(self) -> JsonObject:
        return {"pins": dict(self.pins), "executable": self.executable, "digest": self.digest}


def plan(understanding: Understanding, path_folders: Sequence[str] = PATH_FOLDERS) -> Plan:
    """The programs of ``understanding`` as they lie on the disk now."""
    names = list(dict.fromkeys(name for leaf in understanding.leaves for name in leaf.binaries))
    first = understanding.shell or (names[0] if names else "")
    pins: dict[str, str] = {}
    seen: dict[str, Identity] = {}
    untrusted: list[str] = []
    missing: list[str] = []
    executable = ""
    for name in dict.fromkeys([first, *names]) if first else []:
        path = _found(name, path_folders)
        pin = _pin(path) if path else None
        if pin is None:
            missing.append(name)
            continue
        identity, (real, digest, trouble) = pin
        pins[real], seen[real] = digest, identity
        if name == first:
            executable = real
        if trouble:
            untrusted.append(f"`{name}` is {real}, {trouble}")
    return Plan(pins, seen, executable, tuple(untrusted), tuple(missing))


def combined(understanding: Understanding, made: Plan) -> CommandClass:
    """The class of the commands and of the programs together."""
    return strictest([understanding.kind, made.kind])


@lru_cache(maxsize=1)
def sh_dialect() -> str:
    """``sh`` where ``/bin/sh`` of this machine is one that calculates with plain numbers only; else ``bash``."""
    return "sh" if os.path.basename(os.path.realpath(SHELL)) in _PLAIN_SHELLS else "bash"  # noqa: PTH119


def _found(name: str, folders: Sequence[str]) -> str:
    """Where ``exec`` finds it; "" where it does not."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else ""
    for folder in folders:
        path = f"{folder}/{name}"
        if os.access(path, os.X_OK) and not Path(path).is_dir():
            return path
    return ""


_Pin = tuple[str, str, str]
"""The real path, the digest, and why it is not to be trusted ("" if it is)."""

_LOOK_AGAIN = 60.0
"""Seconds after which the folders above a program are looked at again; the program itself always is."""

_pins: dict[str, tuple[Identity, float, _Pin]] = {}


def _pin(path: str) -> tuple[Identity, _Pin] | None:
    """What the program at ``path`` is and what is known of it; None for no program.

    Kept while nothing of the file changes.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - on the way of every command
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return None
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        kept, now = _pins.get(path), time.monotonic()
        if kept and kept[0] == key:
            if now - kept[1] < _LOOK_AGAIN:
                return key, kept[2]
            made = (kept[2][0], kept[2][1], _trouble(kept[2][0]))
        else:
            real = os.path.realpath(path, strict=True)
            made = (real, digest_of(real), _trouble(real))
    except OSError:
        return None
    if len(_pins) >= _MOST_KEPT:
        _pins.clear()
    _pins[path] = (key, now, made)
    return key, made


def digest_of(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trouble(path: str) -> str:
    """The file and each folder above it must be root's, and writable by nobody else."""
    for one in (path, *(str(parent) for parent in Path(path).parents)):
        found = Path(one).stat()
        if found.st_uid != 0:
            return f"and {one} does not belong to root"
        if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
            return f"and others than root may write {one}"
    return ""
