"""Rows of the tables that the programs read, as the C file declares them."""

import ipaddress
import struct
import sys
from dataclasses import dataclass

LIMIT_NETWORK, LIMIT_DEVICES = 1, 2
EVENTS = 4096
"""How many events one job may cause."""

_JOB = struct.Struct("=IiQ")
_CGROUP = struct.Struct("=Q")
_DESTINATION = struct.Struct("=IQ2s16s")
_DEVICE = struct.Struct("=QIIII")
_BITS_BEFORE = 8 * (8 + 2)
_CHARACTER_DEVICE = 2

JOB_SIZE, CGROUP_SIZE, DESTINATION_SIZE, DEVICE_SIZE = (
    s.size for s in (_JOB, _CGROUP, _DESTINATION, _DEVICE)
)
PRESENT = b"\1"
SWITCH = bytes(4)
"""The key of the one row of the table ``stop``."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Destination:
    """Addresses that may be reached; ``port`` 0 means every one."""

    network: Network
    port: int = 0

    def __contains__(self, other: tuple[Address, int]) -> bool:
        address, port = other
        return self.port in (0, port) and address.version == self.network.version and address in self.network


def job(flags: int, room: int = EVENTS) -> bytes:
    return _JOB.pack(flags, room, 0)


def stop(cut: bool) -> bytes:
    return int(cut).to_bytes(4, sys.byteorder)


def lost(row: bytes) -> int:
    """How many events of a job found no room."""
    return int(_JOB.unpack(row)[2])


def cgroup(number: int) -> bytes:
    return _CGROUP.pack(number)


def cgroup_of(key: bytes) -> int:
    """Of a key of any table but that of destinations, which has its prefix first."""
    return int(_CGROUP.unpack_from(key)[0])


def cgroup_of_destination(key: bytes) -> int:
    return int(_DESTINATION.unpack(key)[1])


def destination(number: int, to: Destination) -> bytes:
    """The key for ``to``. An IPv4 address stands in its mapped form, ::ffff:a.b.c.d, as the programs look it up."""
    mapped, bits = to.network.network_address.packed, to.network.prefixlen
    if to.network.version == 4:
        mapped, bits = bytes(10) + b"\xff\xff" + mapped, 96 + bits
    return _DESTINATION.pack(_BITS_BEFORE + bits, number, to.port.to_bytes(2, "big"), mapped)


def device(number: int, major: int, minor: int) -> bytes:
    return _DEVICE.pack(number, _CHARACTER_DEVICE, major, minor, 0)
