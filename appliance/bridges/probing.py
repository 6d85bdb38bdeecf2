"""The round trip of a platform's test button: ask it who we are, without receiving anything."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from appliance.bridges.errors import PlatformUnknown
from appliance.bridges.messages import RawEvent
from appliance.bridges.models import Platform
from appliance.bridges.ports import Bridge, BridgeContext, Probe, ProbeState
from appliance.bridges.registry import factory_of
from appliance.bridges.secrets import Lookup, mark, resolved_now, variable
from appliance.lib.clock import SystemClock
from appliance.lib.config import get_config
from appliance.outbox.errors import NotReady


class _ClosedInbox:
    """A probe receives nothing."""

    async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
        return 0

    async def cursor(self) -> str | None:
        return None


def probe_platform(name: str, *, lookup: Lookup = variable, telegram_api: str = "") -> Probe:
    """Ask the platform who we are, now, from a thread. Raises PlatformUnknown; never for one that is away."""
    row = Platform.objects.filter(name=name).first()
    factory = factory_of(row.kind if row else name)
    if row is None and not factory.builtin:
        raise PlatformUnknown(f"there is no platform named {name!r}")
    if factory.build is None:
        return Probe(ProbeState.UNAVAILABLE, factory.unavailable)
    config = factory.config.model_validate(row.config if row else {"name": name})
    try:
        secrets = resolved_now(config, lookup)
    except NotReady as error:
        return Probe(ProbeState.WAITING, str(error))
    context = BridgeContext(
        name=name,
        config=config,
        pool=_pool(),
        inbox=_ClosedInbox(),
        clock=SystemClock(),
        secrets=secrets,
        webhook_secret=mark(f"webhook/{name}"),
        settings={"telegram_api": telegram_api or get_config().telegram_api},
    )
    return asyncio.run(_probe(context, factory.build))


async def _probe(context: BridgeContext, build: Callable[[BridgeContext], Bridge]) -> Probe:
    await context.pool.open()
    bridge = build(context)
    try:
        return await bridge.probe()
    finally:
        await bridge.stop()
        await context.pool.close()


def _pool() -> AsyncConnectionPool[AsyncConnection[Any]]:
    parameters = django_connection.get_connection_params()
    wanted = ("dbname", "user", "password", "host", "port")
    address = make_conninfo(**{key: parameters[key] for key in wanted if parameters.get(key)})
    return AsyncConnectionPool(address, min_size=0, max_size=1, open=False)
