"""Where something listens, and under which names others reach it."""

import ipaddress
import socket

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str) -> list[str]:
    """Under which names a listener is reached, the best for other people first."""
    if is_loopback(host):
        return [host]
    if host not in ANYWHERE:
        return [host]
    machine = socket.gethostname().lower()
    names = [_lan_address(), machine, f"{machine.partition('.')[0]}.local"]
    return [name for name in names if name] + ["127.0.0.1"]


def _lan_address() -> str:
    """The address by which this machine goes out. Connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
