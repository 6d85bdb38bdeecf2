"""The gateway, and a program that acknowledges each message as soon as it lies there."""

import asyncio

from appliance.bridges.gateway.bridge import GatewayBridge
from appliance.bridges.messages import ChatMessage
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Receipt
from tests.chat_desk import Pool, context

from .tables import OfTable

_ACK = """
UPDATE bridges_message SET acked_at = now(), acked_by = 'token:ann/bot' WHERE item_id = %s AND acked_at IS NULL
"""


class _Acknowledged(GatewayBridge):
    """In these tests a message has no item in the outbox, which the web process would ask for."""

    async def send_message(self, message: ChatMessage) -> Receipt:
        sending = asyncio.create_task(super().send_message(message))
        while not sending.done():
            async with self._context.pool.connection() as connection:
                await connection.execute(_ACK, (message.id,))
            await asyncio.wait([sending], timeout=0.02)
        return await sending


class Gateway(OfTable):
    def __init__(self, pool: Pool) -> None:
        self.kind, self.conversation = "gateway", "any"
        self._pool = pool
        self.bridge = _Acknowledged(context("gateway", pool=pool))

    def said(self, text: str) -> JsonObject:
        return {**super().said(text), "token_id": "3"}
