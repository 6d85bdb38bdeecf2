"""Which bridges are to live, as the database says, and how one is made from its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import ValidationError

from appliance.bridges import sql
from appliance.bridges.digests import rule_of
from appliance.bridges.inbox import BridgeInbox
from appliance.bridges.limits import MessageLimit
from appliance.bridges.ports import Bridge, BridgeContext
from appliance.bridges.registry import bridges
from appliance.bridges.secrets import Lookup, mark, resolved
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.outbox.errors import DeliveryRefused, NotReady
from appliance.outbox.ports import DigestRule
from appliance.safety import allstop


@dataclass(frozen=True, slots=True)
class WantedBridge:
    """An enabled platform's row."""

    id: int
    name: str
    kind: str
    config: JsonObject
    revision: int

    @property
    def version(self) -> tuple[int, int]:
        """Changes with every change of the configuration, also when it is removed and made anew."""
        return self.id, self.revision

    @property
    def limit(self) -> MessageLimit | None:
        """What the operator allows. The configuration was checked when it was saved."""
        given = self.config.get("limit")
        return MessageLimit.model_validate(given) if given is not None else None

    @property
    def digest(self) -> DigestRule | None:
        """How storms are told there, as the operator and the platform's kind say, of a bridge that was built."""
        factory = bridges()[self.kind]
        config = factory.config.model_validate(self.config)
        return rule_of(config.digest, edits=factory.capabilities.edits)

    @property
    def is_local(self) -> bool:
        factory = bridges().get(self.kind)
        return factory is not None and factory.local


async def wanted_bridges(connection: AsyncConnection[Any]) -> dict[str, WantedBridge]:
    """Every enabled platform, and those that need no configuration."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.PLATFORMS)
    rows = {row["name"]: WantedBridge(**row) for row in await cursor.fetchall()}
    for factory in bridges().values():
        if factory.builtin and factory.kind not in rows:
            rows[factory.kind] = WantedBridge(0, factory.kind, factory.kind, {"name": factory.kind}, 0)
    return rows


async def is_cut_off(connection: AsyncConnection[Any]) -> bool:
    """Whether the all-stop lets nothing leave the box."""
    return (await allstop.current_async(connection)).at_least(allstop.Level.CUT)


@dataclass(frozen=True, slots=True)
class Workshop:
    """What is the same for all bridges of a box."""

    pool: AsyncConnectionPool[AsyncConnection[Any]]
    clock: Clock
    lookup: Lookup
    settings: Mapping[str, str]
    key: str | None = None

    async def build(self, row: WantedBridge, inbox: BridgeInbox) -> Bridge:
        """Raises DeliveryRefused for a platform that has no bridge, NotReady for one that lacks something."""
        factory = bridges().get(row.kind)
        if factory is None or factory.build is None:
            reason = (
                factory.unavailable
                if factory
                else say("this version has no bridge for %(kind)s", kind=row.kind)
            )
            raise DeliveryRefused(reason)
        try:
            config = factory.config.model_validate(row.config)
        except ValidationError as error:
            raise NotReady(
                say("the stored configuration is of another version"),
                hint=say("save the platform page again"),
            ) from error
        async with self.pool.connection() as connection:
            secrets = await resolved(connection, config, self.lookup)
        return factory.build(
            BridgeContext(
                name=row.name,
                config=config,
                pool=self.pool,
                inbox=inbox,
                clock=self.clock,
                secrets=secrets,
                webhook_secret=mark(f"webhook/{row.name}", self.key),
                settings=self.settings,
            )
        )
