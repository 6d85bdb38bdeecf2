"""Where the kernel's two file systems are that the rules need: control groups, version 2, and BPF objects."""

import ctypes
import os
from pathlib import Path

from appliance.sandbox.ebpf.errors import NoKernelRules

MOUNTS = Path("/proc/mounts")
_USUAL_BPFFS = Path("/sys/fs/bpf")
_ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}
_NOSUID_NODEV_NOEXEC = 2 | 4 | 8


def mount_of(kind: str, text: str) -> Path | None:
    """Where the first writable file system of that type is mounted, by the text of /proc/mounts; None: nowhere."""
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) >= 4 and fields[2] == kind and "rw" in fields[3].split(","):
            return Path(_plain(fields[1]))
    return None


def cgroup2(mounts: Path = MOUNTS) -> Path:
    """The mount of control groups, version 2: wherever it is, also beside version 1. Raises NoKernelRules."""
    found = mount_of("cgroup2", _read(mounts))
    if found is None:
        raise NoKernelRules(
            "no writable cgroup2 file system is mounted", "mount -t cgroup2 none /sys/fs/cgroup/unified"
        )
    return found


def bpffs(mounts: Path = MOUNTS) -> Path:
    """The mount of BPF objects, where pinned links outlive who loaded them. Raises NoKernelRules."""
    found = mount_of("bpf", _read(mounts))
    if found is None:
        raise NoKernelRules("no bpf file system is mounted", f"mount -t bpf bpf {_USUAL_BPFFS}")
    return found


def mount_bpffs(mounts: Path = MOUNTS) -> None:
    """Mount it where systemd would have, when nobody has. Needs root's powers, which guard has given up.

    Raises NoKernelRules.
    """
    if mount_of("bpf", _read(mounts)) is not None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(_USUAL_BPFFS)
    if libc.mount(b"bpf", place, b"bpf", ctypes.c_ulong(_NOSUID_NODEV_NOEXEC), b"mode=0700"):
        why = os.strerror(ctypes.get_errno())
        raise NoKernelRules(f"the bpf file system cannot be mounted at {_USUAL_BPFFS}: {why}")


def _plain(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text


def _read(mounts: Path) -> str:
    try:
        return mounts.read_text(errors="surrogateescape")
    except OSError as error:
        raise NoKernelRules(f"{mounts} cannot be read: {error.strerror}") from error
