"""Compiles the programs of the kernel's rules: ``python -m appliance.sandbox.ebpf.build``.

Part of the build, not of the start: a box needs no compiler. What comes out fits every kernel with type information
(CO-RE), so it can be made elsewhere, for the same architecture's byte order.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from appliance.sandbox.ebpf.errors import NoKernelRules

SOURCE = Path(__file__).with_name("rules.bpf.c")
OBJECT = Path(__file__).with_name("rules.bpf.o")
GET = "apt-get install clang libbpf-dev, then make rules"

_TARGETS = {"x86_64": "x86", "aarch64": "arm64"}


def compile_rules(to: Path = OBJECT) -> None:
    """Write the object file, whole or not at all. Raises NoKernelRules."""
    clang = shutil.which("clang")
    if clang is None:
        raise NoKernelRules("there is no clang, which compiles the kernel's rules", GET)
    machine = os.uname().machine
    part = to.with_name(f".{to.name}.{os.getpid()}")
    command = [
        clang, "-O2", "-g", "-Wall", "-Werror", "-target", "bpf",
        f"-D__TARGET_ARCH_{_TARGETS.get(machine, machine)}",
        f"-I/usr/include/{machine}-linux-gnu",
        "-c", str(SOURCE), "-o", str(part),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise NoKernelRules(f"clang cannot compile the kernel's rules: {lines[0]}", GET)
        part.chmod(0o644)
        part.replace(to)
    except OSError as error:
        raise NoKernelRules(f"the kernel's rules cannot be written to {to}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def main() -> int:
    """0 also where it cannot be compiled: the box runs without, and says so on its health page."""
    try:
        compile_rules()
    except NoKernelRules as error:
        sys.stderr.write(f"Note: no rules of the kernel for jobs: {error.said}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
