"""Where the platforms are reached: what the network monitor is to look at."""

from typing import Any
from urllib.parse import urlsplit

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import ValidationError

from appliance.bridges.registry import bridges
from appliance.bridges.secrets import Lookup, resolved, variable
from appliance.bridges.wanted import wanted_bridges
from appliance.outbox.errors import NotReady
from appliance.outbox.network.domain import Endpoint, TargetKind

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class PlatformHosts:
    """A source of the network monitor. ``settings`` are the box's own values for bridges."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        settings: dict[str, str],
        lookup: Lookup = variable,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._lookup = lookup

    async def __call__(self) -> list[Endpoint]:
        """One endpoint per enabled platform that lies outside the box; none for one that lacks something."""
        found = []
        async with self._pool.connection() as connection:
            for row in (await wanted_bridges(connection)).values():
                factory = bridges().get(row.kind)
                if factory is None or factory.build is None or factory.address is None:
                    continue
                try:
                    config = factory.config.model_validate(row.config)
                    secrets = await resolved(connection, config, self._lookup)
                except (ValidationError, NotReady):
                    continue
                endpoint = endpoint_of(row.name, factory.address(config, self._settings, secrets))
                if endpoint:
                    found.append(endpoint)
        return found


def endpoint_of(name: str, url: str, kind: TargetKind = TargetKind.PLATFORM) -> Endpoint | None:
    """Where a TCP connection to ``url`` goes; None where it does not say. User names in it are left out."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return Endpoint(name, kind, parts.hostname, port) if parts.hostname and port else None
