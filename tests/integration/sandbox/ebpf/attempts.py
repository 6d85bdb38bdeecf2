"""Ways to reach somebody, tried from inside a job's cgroup, in a network namespace of their own.

``unshare -n python attempts.py CGROUP WAY...`` (as root): this process listens, outside of the cgroup; a child of it
goes in and tries. One JSON line: for each way what the child was told, and what arrived here, which is what counts.
"""

import ctypes
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

NEAR4, FAR4, NEAR6, FAR6 = "192.0.2.1", "198.51.100.1", "2001:db8:1::1", "2001:db8:2::1"
"""Allowed are the near ones, by tests that allow any; all are on the loopback device of the namespace."""
PORT = 7007
_FASTOPEN = 0x20000000
_COMES = 2.0  # seconds to wait for what was let through
_SETTLE = 0.03  # and for what was not: on a loopback device all comes while it is sent


def tcp(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as one:
        one.settimeout(1)
        one.connect((host, PORT))


def fast_open(host: str) -> None:
    with socket.socket() as one:
        one.settimeout(1)
        one.sendto(b"x", _FASTOPEN, (host, PORT))


def udp_unconnected(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b"udp", (host, PORT))


def udp_connected(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((host, PORT))
        one.send(b"udp")


def udp_message(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendmsg([b"udp"], [], 0, (host, PORT))


def raw(host: str) -> None:
    """A datagram with a header of our own making."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as one:
        one.sendto(struct.pack("!HHHH", 9999, PORT, 11, 0) + b"udp", (host, 0))


def raw6(host: str) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253) as one:
        one.sendto(b"raw", (host, 0))


def mptcp(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as one:
        one.settimeout(1)
        one.connect((host, PORT))


def ping(host: str) -> None:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as one:
        one.sendto(struct.pack("!BBHHH", 8, 0, 0, 1, 1), (host, 0))


def io_uring(host: str) -> None:
    """Connect by a ring, where no system call of the family is made."""
    with socket.socket() as one:
        one.setblocking(True)
        result = Ring().connect(one.fileno(), struct.pack("!HH4s8x", 0, PORT, socket.inet_aton(host)))
    if result < 0:
        raise OSError(-result, os.strerror(-result))


class Ring:
    """A ring of one entry. See io_uring_setup(2); the numbers are those of linux/io_uring.h."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mmap.restype = ctypes.c_void_p
        self._libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        parameters = ctypes.create_string_buffer(120)
        self._fd = self._call(425, 1, parameters)
        words = struct.unpack("=30I", parameters.raw)
        self._submit, self._complete = words[10:20], words[20:30]
        self._rings = self._map(0, 4096)
        self._completions = self._map(0x8000000, 4096)
        self._entries = self._map(0x10000000, 64)

    def connect(self, fd: int, address: bytes) -> int:
        """``address`` is a sockaddr, with its family as native bytes put in here."""
        kept = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + address[2:], 16)
        entry = struct.pack("=BBHiQQIIQ24x", 16, 0, 0, fd, 16, ctypes.addressof(kept), 0, 0, 1)
        ctypes.memmove(self._entries, entry, 64)
        tail, array = self._submit[1], self._submit[6]
        ctypes.c_uint32.from_address(self._rings + array).value = 0
        ctypes.c_uint32.from_address(self._rings + tail).value = 1
        self._call(426, self._fd, 1, 1, 1, None, 0)
        completion = self._completions + self._complete[5]
        return ctypes.c_int32.from_address(completion + 8).value

    def _map(self, offset: int, size: int) -> int:
        found = self._libc.mmap(None, size, 3, 0x8001, self._fd, offset)
        if found in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        return int(found)

    def _call(self, number: int, *arguments: object) -> int:
        wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        done = int(self._libc.syscall(ctypes.c_long(number), *wide))
        if done < 0:
            raise OSError(ctypes.get_errno(), f"system call {number}")
        return done


WAYS: dict[str, Callable[[], None]] = {
    "tcp": lambda: tcp(FAR4),
    "tcp_near": lambda: tcp(NEAR4),
    "tcp_zero": lambda: tcp("0.0.0.0"),
    "tcp6": lambda: tcp(FAR6),
    "tcp6_near": lambda: tcp(NEAR6),
    "tcp_mapped": lambda: tcp(f"::ffff:{FAR4}"),
    "tcp_mapped_near": lambda: tcp(f"::ffff:{NEAR4}"),
    "udp_unconnected": lambda: udp_unconnected(FAR4),
    "udp_unconnected_near": lambda: udp_unconnected(NEAR4),
    "udp_unconnected6": lambda: udp_unconnected(FAR6),
    "udp_mapped": lambda: udp_unconnected(f"::ffff:{FAR4}"),
    "udp_connected": lambda: udp_connected(FAR4),
    "udp_message": lambda: udp_message(FAR4),
    "raw": lambda: raw(FAR4),
    "raw6": lambda: raw6(FAR6),
    "ping": lambda: ping(FAR4),
    "mptcp": lambda: mptcp(FAR4),
    "fast_open": lambda: fast_open(FAR4),
    "io_uring": lambda: io_uring(FAR4),
    "io_uring_near": lambda: io_uring(NEAR4),
}


class Listener:
    """Counts what comes, by any way, to any address of this namespace."""

    def __init__(self) -> None:
        self._tcp = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
        self._udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._udp.bind(("::", PORT))
        self._raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253)
        self._icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._all = (self._tcp, self._udp, self._raw, self._icmp)

    def arrived(self, *, expected: bool) -> int:
        """How many came since the last call. Called when the one who tried is done."""
        count = 0
        while ready := select.select(self._all, [], [], _COMES if expected and not count else _SETTLE)[0]:
            for one in ready:
                if one is self._tcp:
                    one.accept()[0].close()
                else:
                    one.recv(2048)
                count += 1
        return count


def child(cgroup: Path, way: str) -> str:
    """Go in, and try."""
    (cgroup / "cgroup.procs").write_text("0")
    try:
        WAYS[way]()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def tried(cgroup: Path, way: str) -> str:
    inner, outer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(outer, child(cgroup, way).encode())
        os._exit(0)
    os.close(outer)
    with os.fdopen(inner) as said:
        text = said.read()
    os.waitpid(pid, 0)
    return text


def main(cgroup: Path, ways: list[str]) -> None:
    assert threading.active_count() == 1
    for command in (
        "ip link set lo up",
        *(f"ip address add {address}/32 dev lo" for address in (NEAR4, FAR4)),
        *(f"ip address add {address}/128 dev lo nodad" for address in (NEAR6, FAR6)),
    ):
        subprocess.run(command.split(), check=True)
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3\n")
    listener = Listener()
    found = {}
    for way in ways:
        told = tried(cgroup, way)
        found[way] = (told, listener.arrived(expected=told in ("done", "EINPROGRESS")))
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
