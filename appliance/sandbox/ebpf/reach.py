"""What an author writes of the network, and the addresses that it means now."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.lib.said import say

ANY = "any"
MOST = 64
_RESOLVERS = Path("/etc/resolv.conf")
_RESOLVE_SECONDS = 5.0
_DNS = 53
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_-]+)*\.?")
_EXPECTED = say("host, host:port, address, network/bits, [address]:port, or any")

Place = tuple[str, int]
"""A network, and a port; 0 for all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of ``network:``. ``host`` is a name, or a network in its usual writing."""

    host: str
    port: int
    is_name: bool


def parse(text: str) -> Entry:
    """Raises ValueError with what was expected."""
    host, port = _split(text.strip())
    try:
        return Entry(str(ipaddress.ip_network(host)), port, False)
    except ValueError as error:
        if not _NAME.fullmatch(host) or re.fullmatch(r"[0-9.]+", host):
            wrong = f": {error}" if "/" in host else ""
            raise ValueError(
                say(
                    "%(text)r is no place in a network%(wrong)s; expected %(expected)s",
                    text=text,
                    wrong=wrong,
                    expected=_EXPECTED,
                )
            ) from error
        return Entry(host, port, True)


def _split(text: str) -> tuple[str, int]:
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", text)
    if bracketed:
        return bracketed[1], _port(bracketed[2], text)
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _port(port, text)
    return text, 0


def _port(text: str | None, whole: str) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(
            say(
                "%(whole)r has no port from 1 to 65535 behind its colon; expected %(expected)s",
                whole=whole,
                expected=_EXPECTED,
            )
        )
    return int(text)


async def places(declared: Sequence[str], resolvers: Path = _RESOLVERS) -> tuple[Place, ...] | None:
    """Where a job may connect to; None for everywhere. Names are looked up now, and the box's resolvers added then.

    A name that cannot be resolved stands for nothing: the job will see that for itself.
    """
    if ANY in declared:
        return None
    entries = [parse(text) for text in declared]
    names = [entry for entry in entries if entry.is_name]
    found: list[Place] = [(entry.host, entry.port) for entry in entries if not entry.is_name]
    for addresses in await asyncio.gather(*map(_addresses, names)):
        found += addresses
    if names:
        found += [(address, _DNS) for address in nameservers(resolvers)]
    return tuple(dict.fromkeys(found))


async def _addresses(entry: Entry) -> list[Place]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            answers = await asyncio.get_running_loop().getaddrinfo(entry.host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [(str(answer[4][0]).partition("%")[0], entry.port) for answer in answers]


def nameservers(file: Path = _RESOLVERS) -> Iterable[str]:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) >= 2 and fields[0] == "nameserver":
            address = fields[1].partition("%")[0]
            try:
                yield str(ipaddress.ip_address(address))
            except ValueError:
                continue
