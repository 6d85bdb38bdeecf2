"""Socket Mode: the box connects to Slack, so Slack need not reach it.

The protocol: docs.slack.dev/apis/events-api/using-socket-mode.
"""

import json
import logging

from django.utils.translation import gettext_noop
from websockets.asyncio.client import ClientConnection

from appliance.bridges.ports import Inbox
from appliance.bridges.slack.api import SlackApi
from appliance.bridges.slack.events import raw_event
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import NotReady, PlatformAway

log = logging.getLogger(__name__)

SWITCHED_OFF = gettext_noop("Socket Mode is switched off in the Slack app's settings")


class SocketMode:
    """One app's line (long_connection.Line). ``needs_a_person``: the token is refused, or the mode is switched off."""

    def __init__(self, api: SlackApi, inbox: Inbox, team: str | None) -> None:
        self._api = api
        self._inbox = inbox
        self._team = team
        self.needs_a_person = False

    async def address(self) -> str:
        """Good for one connection."""
        self.needs_a_person = False
        try:
            answer = await self._api.call("apps.connections.open", form={})
        except NotReady:
            self.needs_a_person = True
            raise
        url = answer.get("url")
        if not isinstance(url, str) or not url.startswith(("wss://", "ws://")):
            raise PlatformAway("Slack gives no address for the connection")
        return url

    async def serve(self, socket: ClientConnection) -> None:
        """Returns when Slack wants a new connection: it ends each after some hours."""
        async for frame in socket:
            message = _read(frame)
            if message.get("type") != "disconnect":
                await self._take(message, socket)
                continue
            if message.get("reason") == "link_disabled":
                self.needs_a_person = True
                raise NotReady(SWITCHED_OFF)
            return

    async def _take(self, message: JsonObject, socket: ClientConnection) -> None:
        envelope, payload = message.get("envelope_id"), message.get("payload")
        if not isinstance(envelope, str):
            return  # hello, or something newer than this bridge
        event = raw_event(payload, self._team) if isinstance(payload, dict) else None
        if event:
            await self._inbox.receive([event])
        # Only what is committed is acknowledged; the rest comes again, on this connection or another.
        await socket.send(json.dumps({"envelope_id": envelope}))


def _read(frame: str | bytes) -> JsonObject:
    try:
        found = json.loads(frame)
    except (ValueError, RecursionError):
        log.warning("Slack said something that is not JSON")
        return {}
    return found if isinstance(found, dict) else {}
