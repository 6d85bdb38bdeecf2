"""Which proxies are believed about whom they speak for: those that the operator named, and nobody else."""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[Any]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"})
_ALL = _FORWARDED | {b"forwarded", b"x-real-ip"}
_SECURE = {"http": "https", "ws": "wss"}


class TrustedProxies:
    """Takes address and scheme from ``X-Forwarded-For`` and ``-Proto`` where a trusted proxy sent them.

    From everybody else these headers are taken off, so that nothing behind this can believe them.
    """

    def __init__(self, application: Application, trusted: Iterable[Network]) -> None:
        self._application = application
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        if scope["type"] in ("http", "websocket"):
            scope = self.seen(scope)
        return await self._application(scope, receive, send)

    def seen(self, scope: Scope) -> Scope:
        """The scope as the box goes on with it."""
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        kept = [(name, value) for name, value in headers if name not in _ALL]
        client = scope.get("client")
        found: dict[str, Any] = {**scope, "headers": kept}
        if client and self._trusts(str(client[0])):
            said: dict[bytes, bytes] = {}
            for name, value in headers:
                # A list may come in several headers: they are one list.
                said[name] = said[name] + b"," + value if name in said else value
            found["client"] = [self._speaks_for(str(client[0]), said.get(b"x-forwarded-for", b"")), client[1]]
            if said.get(b"x-forwarded-proto", b"").split(b",")[-1].strip().lower() == b"https":
                found["scheme"] = _SECURE.get(scope["scheme"], scope["scheme"])
        return found

    def _speaks_for(self, proxy: str, chain: bytes) -> str:
        """The last address that no trusted proxy wrote of itself: what stands before it anybody may have invented."""
        address = proxy
        for hop in reversed(chain.decode("latin-1").split(",")):
            if not _is_address(hop.strip()):
                break
            address = hop.strip()
            if not self._trusts(address):
                break
        return address

    def _trusts(self, address: str) -> bool:
        if not _is_address(address):
            return False
        found = ipaddress.ip_address(address)
        return any(found in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
