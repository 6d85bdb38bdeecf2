"""Whether a container has a way out of its network, as the kernel tells it."""

from pathlib import Path


def leads_out(pid: int) -> bool:
    """Whether the network of that process has a default route. Also where that cannot be known."""
    try:
        four = Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]
    except OSError:
        return True
    try:
        six = Path(f"/proc/{pid}/net/ipv6_route").read_text().splitlines()
    except FileNotFoundError:
        six = []  # a kernel without IPv6
    except OSError:
        return True
    return _default_of_4(four) or _default_of_6(six)


def _default_of_4(lines: list[str]) -> bool:
    # Iface Destination Gateway Flags RefCnt Use Metric Mask …
    return any(fields[1] == fields[7] == "00000000" for fields in map(str.split, lines))


def _default_of_6(lines: list[str]) -> bool:
    # destination, its prefix, source, its prefix, next hop, metric, counts, flags, device
    return any(
        not fields[0].strip("0") and fields[1] == "00" and fields[-1] != "lo"
        for fields in map(str.split, lines)
    )
