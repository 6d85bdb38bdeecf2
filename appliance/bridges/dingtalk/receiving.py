"""The long connection of an app (Stream mode): commit first, then acknowledge.

Protocol: open-dingtalk.github.io/developerpedia/docs/learn/stream/protocol. DingTalk repeats an event that was not
acknowledged, but not what somebody wrote to the robot: the commit of that is tried for a while before it is given up.
"""

import asyncio
import json
import logging
from urllib.parse import quote

from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from appliance.bridges.dingtalk.api import OpenApi
from appliance.bridges.dingtalk.errors import SILENT, TITLE
from appliance.bridges.dingtalk.events import BOT_TOPIC, CARD_TOPIC, Frame, raw_event
from appliance.bridges.messages import RawEvent
from appliance.bridges.ports import Inbox
from appliance.lib.jsontypes import JsonValue
from appliance.outbox.errors import PlatformAway

log = logging.getLogger(__name__)

TRIES = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to commit."""
PONG_LIMIT = 10.0


class StreamLine:
    """One app's connection (long_connection.Line)."""

    def __init__(self, api: OpenApi, inbox: Inbox) -> None:
        self._api = api
        self._inbox = inbox
        self._socket: ClientConnection | None = None

    async def address(self) -> str:
        """The endpoint with its ticket, which is good for one connection within 90 seconds. Raises DeliveryError."""
        topics: list[JsonValue] = [{"type": "CALLBACK", "topic": topic} for topic in (BOT_TOPIC, CARD_TOPIC)]
        found = await self._api.open_connection({"subscriptions": topics, "ua": "millwright/1.0"})
        endpoint, ticket = found.get("endpoint"), found.get("ticket")
        if not isinstance(endpoint, str) or not isinstance(ticket, str) or not self._may_connect(endpoint):
            raise PlatformAway(f"{TITLE} names no address for the long connection")
        self._api.hide(ticket)
        return f"{endpoint}?ticket={quote(ticket, safe='')}"

    def _may_connect(self, endpoint: str) -> bool:
        """What is private over https stays private."""
        plain = self._api.root.startswith("http://")
        return endpoint.startswith(("wss://", "ws://") if plain else "wss://")

    async def ping(self) -> None:
        """A round trip over the open connection: it costs none of the organisation's API calls.

        Raises PlatformAway.
        """
        if self._socket is None:
            raise PlatformAway("not connected")
        try:
            await asyncio.wait_for(await self._socket.ping(), PONG_LIMIT)
        except (ConnectionClosed, TimeoutError):
            raise PlatformAway(SILENT) from None

    async def serve(self, socket: ClientConnection) -> None:
        self._socket = socket
        try:
            async for raw in socket:
                if not await self._take(socket, raw):
                    return
        finally:
            self._socket = None

    async def _take(self, socket: ClientConnection, raw: str | bytes) -> bool:
        """Whether to go on with this connection."""
        try:
            frame = Frame.model_validate_json(raw)
        except ValidationError:
            log.warning("a frame from %s that is none: %d bytes", TITLE, len(raw))
            return True
        if frame.type == "SYSTEM":
            if frame.headers.topic == "ping":
                await socket.send(_ack(frame, 200, frame.data))
            return frame.headers.topic != "disconnect"
        event = raw_event(frame)
        if event is None:
            await socket.send(_ack(frame, 400, "{}"))
            return True
        await self._commit(event)
        done = '{"status": "SUCCESS"}' if frame.type == "EVENT" else '{"response": {}}'
        await socket.send(_ack(frame, 200, done))
        return True

    async def _commit(self, event: RawEvent) -> None:
        for pause in TRIES:
            try:
                await self._inbox.receive([event])
                return
            except (DatabaseError, PoolTimeout, OSError):
                await asyncio.sleep(pause)
        await self._inbox.receive([event])


def _ack(frame: Frame, code: int, data: str) -> str:
    headers = {"contentType": "application/json", "messageId": frame.headers.message_id}
    words = "OK" if code == 200 else "bad request"
    return json.dumps({"code": code, "headers": headers, "message": words, "data": data})
