"""What this box's network monitor looks at, put together from what the layers below know."""

from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bridges.reach import PlatformHosts
from appliance.bus.address import BusAddress
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.services import read_enabled
from appliance.lib.clock import Clock
from appliance.lib.config import Config
from appliance.outbox.network.domain import Edge, Endpoint, Reach, TargetKind
from appliance.outbox.network.monitor import NetworkMonitor

BROKER = "broker"


def network_monitor(
    pool: AsyncConnectionPool[AsyncConnection[Any]],
    clock: Clock,
    config: Config,
    told: Callable[[Sequence[Edge]], None],
) -> NetworkMonitor:
    """The platforms' hosts, brokers that are not the box's own, and what the operator named."""
    fixed = [Endpoint(name, TargetKind.NAMED, host, port) for name, host, port in config.network_targets]
    if "nats" not in config.embedded:
        broker = BusAddress.parse(config.mqtt_url)
        fixed.append(Endpoint(BROKER, TargetKind.BROKER, broker.host, broker.port))

    async def settled() -> Sequence[Endpoint]:
        return fixed

    async def further_brokers() -> Sequence[Endpoint]:
        async with pool.connection() as connection:
            return [_of_broker(wanted.spec) for wanted in await read_enabled(connection)]

    platforms = PlatformHosts(pool, {"telegram_api": config.telegram_api})
    return NetworkMonitor(pool, clock, [platforms, settled, further_brokers], told)


def _of_broker(spec: BrokerSpec) -> Endpoint:
    address = BusAddress.parse(spec.url)
    return Endpoint(f"{BROKER}/{spec.name}", TargetKind.BROKER, address.host, address.port)


def recovered_platforms(edges: Sequence[Edge]) -> list[str]:
    """The platforms among what is back."""
    return [
        edge.target.name
        for edge in edges
        if edge.reach is Reach.UP and edge.target.kind is TargetKind.PLATFORM
    ]
