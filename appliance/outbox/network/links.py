"""The machine's own side: interfaces with a carrier, and whether there is a default route."""

from dataclasses import dataclass
from pathlib import Path

_LOOPBACK = "772"  # ARPHRD_LOOPBACK, linux/if_arp.h
_IFF_UP, _RTF_UP, _RTF_REJECT = 0x1, 0x1, 0x200  # linux/if.h, linux/route.h


@dataclass(frozen=True, slots=True)
class Links:
    interfaces: tuple[str, ...]
    """Those that carry, without loopback."""
    default_route: bool


def read_links(root: Path = Path("/")) -> Links:
    """From ``/sys/class/net`` and ``/proc/net``; what cannot be read is not there."""
    folder = root / "sys/class/net"
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return Links(tuple(name for name in names if _carries(folder / name)), _has_route(root / "proc/net"))


def _carries(interface: Path) -> bool:
    # Tunnels and virtual interfaces say "unknown" while they work.
    flags = _text(interface / "flags")
    return (
        _text(interface / "type") != _LOOPBACK
        and _text(interface / "operstate") in ("up", "unknown")
        and flags.startswith("0x")
        and bool(int(flags, 16) & _IFF_UP)
    )


def _has_route(folder: Path) -> bool:
    four = (line.split() for line in _text(folder / "route").splitlines()[1:])
    six = (line.split() for line in _text(folder / "ipv6_route").splitlines())
    return any(
        len(f) > 7 and f[1] == "00000000" and f[7] == "00000000" and int(f[3], 16) & _RTF_UP for f in four
    ) or any(
        len(f) > 9 and f[0] == "0" * 32 and f[1] == "00" and f[9] != "lo" and _usable(int(f[8], 16))
        for f in six
    )


def _usable(flags: int) -> bool:
    return bool(flags & _RTF_UP) and not flags & _RTF_REJECT


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
