"""Which addresses an outbound request may reach: private and metadata ones only where the step allows them.

The name is resolved once and the connection goes to the address that was checked, so that a name which
changes its answer between check and use (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from appliance.lib.errors import MillwrightError
from appliance.lib.said import say

SCHEMES = {"http": 80, "https": 443}


class AddressRefused(MillwrightError):
    code = "http.address_refused"


class PrivateAddress(AddressRefused):
    """One that is reached where somebody has said that it may be."""


class NameNotFound(MillwrightError):
    code = "http.name_not_found"
    permanent = False


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def plain(address: Address) -> Address:
    """The IPv4 address inside a mapped, 6to4 or NAT64 one; otherwise the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address.sixtofour:
            return address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large."""
    bare = plain(address)
    return bare.is_global and not bare.is_multicast


def is_metadata(address: Address) -> bool:
    """Cloud metadata services: link-local, and the addresses in use outside it. Never allowed."""
    bare = plain(address)
    return bare.is_link_local or str(bare) in {"100.100.100.200", "192.0.0.192", "fd00:ec2::254"}


def split(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an http(s) URL. Raises AddressRefused for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or SCHEMES.get(parts.scheme, 0)
    except ValueError as error:
        raise AddressRefused(
            say("%(url)r is not a URL: %(error)s", url=url[:200], error=str(error))
        ) from error
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise AddressRefused(
            say("%(url)r is not an http or https URL", url=url[:200]), hint=say("write https://host/path")
        )
    if parts.username or parts.password:
        raise AddressRefused(
            say("a URL with a user name in it is refused"), hint=say("use headers: with a secret")
        )
    return parts.scheme, parts.hostname, port


async def resolve(host: str, port: int, allow_private: bool) -> str:
    """The address to connect to. Raises AddressRefused or NameNotFound."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NameNotFound(f"the name {host!r} cannot be resolved: {error}") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if is_metadata(address):
            raise AddressRefused(
                say(
                    "%(host)s is %(address)s, a metadata or link-local address: refused",
                    host=host,
                    address=address,
                )
            )
        if not allow_private and not is_public(address):
            raise PrivateAddress(
                say("%(host)s is %(address)s, a private address", host=host, address=address),
                hint=say("say allow_private: true in the step"),
            )
    return str(addresses[0])
