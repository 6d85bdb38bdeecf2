"""Messages to programs that are connected to ``/ws/gateway``. One is delivered when a program acknowledges it."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Literal

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.gateway import sql
from appliance.bridges.gateway.domain import ANY
from appliance.bridges.kept_chat import say
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, PlatformConfig, Probe, ProbeState
from appliance.bridges.text import split
from appliance.events.hints import Hinter
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused, NotReady
from appliance.outbox.ports import Pace, Receipt

CAPABILITIES = Capabilities(text_limit=20_000, buttons=20, keyed=True)
LOOK_EVERY = 0.1
PATIENCE = 1.5
"""Seconds that an attempt waits for its acknowledgement; one that comes later starts the next attempt itself."""


class GatewayConfig(PlatformConfig):
    """Needs nothing. There is one gateway: an entry can only switch it off, or slow it down."""

    name: Literal["gateway"]
    quiet: None = None
    """Programs do not sleep."""


class GatewayBridge:
    """The message is a row; the web process gives it to who is connected, and writes the acknowledgement on it."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext) -> None:
        self.name = context.name
        self._context = context
        self._hinter = Hinter()

    async def start(self) -> None:
        """The database is there for it already."""

    async def stop(self) -> None:
        await self._hinter.close()

    async def probe(self) -> Probe:
        async with self._context.pool.connection() as connection:
            await connection.execute("SELECT 1")
        return Probe(ProbeState.OK, "", identity=self.name)

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return ANY

    async def send_message(self, message: ChatMessage) -> Receipt:
        parts = split(message.text, self.capabilities.text_limit, self.capabilities.unit, most=1)
        if not parts:
            raise DeliveryRefused("the message is empty")
        conversation = await self._conversation(message.conversation)
        async with self._context.pool.connection() as connection, connection.transaction():
            number, new = await say(connection, self._context, conversation, replace(message, text=parts[0]))
        if new:
            self._hinter.poke()
        at, by = await self._acknowledged(message)
        return Receipt(self.name, conversation, (number,), at, detail={"acknowledged_by": by})

    async def _conversation(self, wanted: str) -> str:
        """``any``, or a token: ``ana/line-bot``, ``token:ana/line-bot``."""
        if wanted == ANY:
            return ANY
        name = wanted.removeprefix("token:")
        async with self._context.pool.connection() as connection:
            values = {"name": name, "now": self._context.clock.now()}
            if await (await connection.execute(sql.MAY_CHAT, values)).fetchone() is None:
                raise DeliveryRefused(f"no token that may chat is called {name[:200]!r}")
        return name

    async def _acknowledged(self, message: ChatMessage) -> tuple[datetime, str]:
        """When, and by whom. Raises NotReady where nobody has yet: its acknowledgement wakes the item."""
        clock = self._context.clock
        end = clock.monotonic() + PATIENCE
        while True:
            async with self._context.pool.connection() as connection:
                found = await connection.execute(sql.ACKED, {"item_id": message.id})
                row = await found.fetchone()
            if row is not None:
                return row[0], row[1]
            if clock.monotonic() >= end:
                raise NotReady("no connected program has acknowledged it yet")
            await asyncio.sleep(LOOK_EVERY)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        user_id, token_id, text = event.get("user_id"), event.get("token_id"), event.get("text")
        if not (_is_number(user_id) and _is_number(token_id) and isinstance(text, str)):
            return []
        return [
            InboundMessage(
                conversation=str(event.get("conversation")),
                user_id=str(user_id),
                user_name=str(event.get("user_name") or ""),
                text=text,
                account_id=int(str(user_id)),
                token_id=int(str(token_id)),
            )
        ]


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def _build(context: BridgeContext) -> Bridge:
    return GatewayBridge(context)


BRIDGE = BridgeFactory(
    kind="gateway",
    title="Gateway",
    config=GatewayConfig,
    capabilities=CAPABILITIES,
    build=_build,
    builtin=True,
    local=True,
    programs=True,
)
