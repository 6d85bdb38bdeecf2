"""The long connection: events are committed first, then the platform is told that they have arrived."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from appliance.bridges.enterprise_im.api import FeishuApi
from appliance.bridges.enterprise_im.events import Addressee, raw_event
from appliance.bridges.enterprise_im.frames import (
    CONTROL,
    DATA,
    Assembly,
    Frame,
    FrameInvalid,
    decode,
    encode,
)
from appliance.bridges.ports import Inbox
from appliance.lib.jsontypes import JsonValue
from appliance.outbox.errors import PlatformAway

log = logging.getLogger(__name__)

PING_EVERY = 120.0
"""Seconds; the platform may say otherwise."""
_PING_WITHIN = (5.0, 600.0)
SHORTEST_TICKET = 8
RECEIVED = b'{"code":200}'


class FeishuLine:
    """One app's connection (long_connection.Line). The platform gives each event to any one of an app's connections."""

    def __init__(self, name: str, api: FeishuApi, inbox: Inbox, addressee: Addressee) -> None:
        self._name = name
        self._api = api
        self._inbox = inbox
        self._addressee = addressee
        self._service = 0
        self._ping_every = PING_EVERY

    async def address(self) -> str:
        found = await self._api.endpoint()
        address = found.get("URL")
        if not isinstance(address, str) or urlsplit(address).scheme not in self._api.socket_schemes:
            raise PlatformAway(f"{self._api.title} gives no address for the long connection")
        self._configure(found.get("ClientConfig"))
        query = parse_qs(urlsplit(address).query)
        for key, (value, *_) in query.items():
            if key not in ("device_id", "service_id") and len(value) >= SHORTEST_TICKET:
                self._api.hide(value)  # it opens the connection, and belongs into no sentence
        service = query.get("service_id", ["0"])[0]
        self._service = int(service) if service.isascii() and service.isdecimal() else 0
        return address

    async def serve(self, socket: ClientConnection) -> None:
        assembly = Assembly()
        async with self._pinging(socket):
            async for message in socket:
                if isinstance(message, str):
                    continue  # frames are binary
                try:
                    answer = await self._take(decode(message), assembly)
                except FrameInvalid as error:
                    log.warning("%s: a frame that is none: %s", self._name, error)
                    continue
                if answer:
                    await socket.send(encode(answer))

    async def _take(self, frame: Frame, assembly: Assembly) -> Frame | None:
        """What to answer. Raises FrameInvalid, and whatever the inbox raises: then nothing is acknowledged."""
        if frame.method == CONTROL:
            if frame.header("type") == "pong" and frame.payload:
                self._configure(_json(frame.payload))
            return None
        if frame.method != DATA:
            return None
        began = time.monotonic()
        payload = assembly.add(frame)
        if payload is None:
            return None
        event = raw_event(_json(payload), self._addressee)
        if event is None:
            log.info("%s: an event that cannot be understood, or is for another app", self._name)
        else:
            await self._inbox.receive([event])
        spent = str(int((time.monotonic() - began) * 1000))
        return replace(frame, headers=(*frame.headers, ("biz_rt", spent)), payload=RECEIVED)

    @contextlib.asynccontextmanager
    async def _pinging(self, socket: ClientConnection) -> AsyncIterator[None]:
        pinging = asyncio.create_task(self._ping(socket))
        try:
            yield
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)

    async def _ping(self, socket: ClientConnection) -> None:
        """The platform's own pings, beside those of WebSocket; what it answers carries its wishes."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(encode(Frame(service=self._service, headers=(("type", "ping"),))))
                await asyncio.sleep(self._ping_every)

    def _configure(self, wishes: JsonValue) -> None:
        every = wishes.get("PingInterval") if isinstance(wishes, dict) else None
        if isinstance(every, int | float) and every > 0:
            low, high = _PING_WITHIN
            self._ping_every = min(high, max(low, float(every)))


def _json(data: bytes) -> JsonValue:
    """None for what is not JSON."""
    try:
        found: JsonValue = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found
