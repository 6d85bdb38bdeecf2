"""Whether the kernel's rules can be had here, for tests."""

import functools

from appliance.sandbox.ebpf.build import OBJECT, SOURCE, compile_rules
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.loading import check
from appliance.sandbox.ebpf.mounts import mount_bpffs


@functools.cache
def why_no_rules() -> str:
    """Why not; empty when they can. Compiles them, and mounts the bpf file system, where that is yet to be done."""
    try:
        if not OBJECT.exists() or OBJECT.stat().st_mtime < SOURCE.stat().st_mtime:
            compile_rules()
        mount_bpffs()
        check()
    except NoKernelRules as error:
        return error.said
    return ""
