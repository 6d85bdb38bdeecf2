"""Whether this machine can have the rules, and loading them."""

import os
import shutil
from pathlib import Path

from appliance.sandbox.ebpf import cgroups, libbpf, mounts
from appliance.sandbox.ebpf.build import GET, OBJECT
from appliance.sandbox.ebpf.errors import NoKernelRules

TYPES = Path("/sys/kernel/btf/vmlinux")


def check(file: Path = OBJECT) -> None:
    """Raises NoKernelRules with the first thing that is missing, and how to get it."""
    if os.geteuid() != 0:
        raise NoKernelRules("guard does not run as root", "start the box as root")
    if not TYPES.exists():
        raise NoKernelRules(f"the kernel has no {TYPES}", "use a kernel built with CONFIG_DEBUG_INFO_BTF")
    mounts.cgroup2()
    mounts.bpffs()
    libbpf.check_library()
    if not file.exists():
        raise NoKernelRules("the kernel's rules are not compiled", GET)


def load(file: Path, pins: Path, tree: Path) -> libbpf.Object:
    """With the tables of an earlier guard. Where they are another version's, its jobs are ended first: nobody could
    keep them to their rules."""
    try:
        return libbpf.Object(file, pins)
    except NoKernelRules:
        if not any(pins.iterdir()):
            raise
    for folder in cgroups.present(tree):
        cgroups.kill(folder)
    shutil.rmtree(pins, ignore_errors=True)
    return libbpf.Object(file, private_folder(pins))


def private_folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NoKernelRules(f"{path} cannot be made: {error.strerror}") from error
    return path
