"""What the kernel's rules cost: ``python tests/bench/bench_kernel_rules.py`` as root, where they can be had.

The same work by processes without rules on the machine, outside and inside of a control group with rules, in turns; the
best of several rounds, since other work of the machine only adds. Microseconds for each: a datagram socket connected
anew, a datagram sent to an address, a TCP connection made and closed, a program executed and waited for.
"""

import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from appliance.sandbox.ebpf.rules import KernelRules, Wanted
from appliance.sandbox.ebpf.tables import Destination
from tests.kernel_rules import clear, why_no_rules

ROUNDS = 15
WORK = """
import os, socket, sys, time
# A job may cause so many events; beyond that telling them costs nothing.
one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
address = listener.getsockname()
def tcp():
    with socket.create_connection(address):
        listener.accept()[0].close()
def execute():
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
for work, times in ((lambda: one.connect(("127.0.0.1", 9)), 1000), (lambda: two.sendto(b"", address), 1000),
                    (tcp, 200), (execute, 100)):
    begun = time.perf_counter()
    for _ in range(times):
        work()
    print((time.perf_counter() - begun) / times * 1e6)
"""
NAMES = ("connect a datagram socket", "send a datagram", "make a TCP connection", "execute a program")


def measured(cgroup: Path) -> list[float]:
    command = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(cgroup / "cgroup.procs")]
    done = subprocess.run([*command, sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    if why := why_no_rules():
        sys.exit(f"no rules of the kernel here: {why}")
    plain = (
        Path("/sys/fs/cgroup/unified") if Path("/sys/fs/cgroup/unified").exists() else Path("/sys/fs/cgroup")
    )
    bare = [measured(plain) for _ in range(ROUNDS)]
    rules = KernelRules("bench", time.monotonic)
    try:
        limited = Wanted(
            [Destination(ip_network(f"10.{n}.0.0/16")) for n in range(250)]
            + [Destination(ip_network("127.0.0.0/8"))]
        )
        rows: dict[str, list[list[float]]] = {"without": bare, "outside": [], "recorded": [], "limited": []}
        for _ in range(ROUNDS):
            rows["outside"].append(measured(plain))
            for name, wanted in (("recorded", Wanted()), ("limited", limited)):
                watch = rules.begin(wanted)
                rows[name].append(measured(watch.folder))
                rules.end(watch)
    finally:
        rules.close()
        clear("bench")
    for at, name in enumerate(NAMES):
        said = ", ".join(f"{row} {min(r[at] for r in found):.2f}" for row, found in rows.items())
        print(f"{name} (us): {said}")


if __name__ == "__main__":
    main()
