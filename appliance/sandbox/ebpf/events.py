"""What the programs tell of a job, one event at a time, as the C file declares it."""

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum

from appliance.sandbox.ebpf.tables import Address

_EVENT = struct.Struct("=QIBBBB2sHI16s")
_PROTOCOLS = {0: "", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp", 255: "raw", 262: "mptcp"}


class Kind(IntEnum):
    EXEC = 1
    EXIT = 2
    CONTACT = 3
    SOCKET = 4
    DEVICE = 5


class Hook(IntEnum):
    """Where in the kernel an address was seen."""

    CONNECT = 1
    SEND = 2
    EGRESS = 3
    CUT = 4
    """In any of them, and denied by the all-stop alone: the job may go there."""


@dataclass(frozen=True, slots=True)
class Event:
    """``code``: a wait status, the type of a socket, or the minor number of a device, whose major number is
    ``family`` then."""

    cgroup: int
    pid: int
    kind: Kind
    hook: int
    denied: bool
    protocol: int
    port: int
    family: int
    code: int
    address: Address
    name: str

    @property
    def protocol_name(self) -> str:
        return _PROTOCOLS.get(self.protocol, str(self.protocol))


def parse(data: bytes) -> Event:
    cgroup, pid, kind, hook, denied, protocol, port, family, code, address = _EVENT.unpack_from(data)
    # Only an execution has a name, and the rest of its bytes mean nothing.
    name = data[_EVENT.size :] if kind == Kind.EXEC else b""
    return Event(
        cgroup,
        pid,
        Kind(kind),
        hook,
        bool(denied),
        protocol,
        int.from_bytes(port, "big"),
        family,
        code,
        plain(ipaddress.IPv6Address(address)),
        name.split(b"\0", 1)[0].decode("utf-8", "replace"),
    )


def plain(address: ipaddress.IPv6Address) -> Address:
    """An IPv4 address that is written as IPv6, as what it is."""
    return address.ipv4_mapped or address
