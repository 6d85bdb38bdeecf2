"""Whether the kernel's rules can be had here, for tests."""

import functools
import shutil

import pytest

from appliance.sandbox.ebpf import cgroups, mounts
from appliance.sandbox.ebpf.build import OBJECT, SOURCE, compile_rules
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.loading import check


@functools.cache
def why_no_rules() -> str:
    """Why not; empty when they can. Compiles them, and mounts the bpf file system, where that is yet to be done."""
    try:
        if not OBJECT.exists() or OBJECT.stat().st_mtime < SOURCE.stat().st_mtime:
            compile_rules()
        mounts.mount_bpffs()
        check()
    except NoKernelRules as error:
        if "clang cannot compile" in error.reason and "file not found" not in error.reason:
            raise  # the headers are here: it is the source that is wrong
        return error.said
    return ""


def need_rules() -> None:
    """Skip the test, with the reason, where the kernel has no such rules: what it allows differs between machines."""
    if why := why_no_rules():
        pytest.skip(f"no rules of the kernel here: {why}")


def clear(name: str) -> None:
    """End and take away whatever there is for the home of that id."""
    if why_no_rules():
        return
    tree = cgroups.tree_of(mounts.cgroup2(), name)
    shutil.rmtree(mounts.bpffs() / f"millwright-{name}", ignore_errors=True)
    for folder in cgroups.present(tree):
        cgroups.kill(folder)
        cgroups.remove(folder)
    cgroups.remove(tree)
