"""The box's own chats: what is said there is a row."""

from collections.abc import Sequence

from appliance.bridges.loopback.bridge import LoopbackBridge
from appliance.bridges.ports import Bridge
from appliance.bridges.webchat.bridge import WebchatBridge
from appliance.lib.jsontypes import JsonObject
from tests.chat_desk import Pool, context

from ..family import Member


class OfTable(Member):
    def __init__(self, kind: str, pool: Pool) -> None:
        self.kind = kind
        self._pool = pool
        made = context(kind, pool=pool)
        self.bridge: Bridge = WebchatBridge(made) if kind == "webchat" else LoopbackBridge(made)
        self.conversation = "feed" if kind == "webchat" else "loopback"

    async def seen(self) -> Sequence[str]:
        async with self._pool.connection() as connection:
            rows = await connection.execute("SELECT text FROM bridges_message ORDER BY id")
            return [row[0] for row in await rows.fetchall()]

    def said(self, text: str) -> JsonObject:
        return {"conversation": self.conversation, "user_id": "7", "user_name": "Ann", "text": text}
