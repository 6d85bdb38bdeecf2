"""The custom robot of one group: a webhook address that takes texts, 20 in a minute, and nothing comes back.

open.dingtalk.com/document/orgapp/custom-robot-access and …/customize-robot-security-settings.
"""

import asyncio
import base64
import hashlib
import hmac
import time

from appliance.bridges.api import PlatformApi
from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.delivering import Delivery
from appliance.bridges.dingtalk.config import DingTalkConfig
from appliance.bridges.dingtalk.errors import TITLE, not_its_own, robot_refusal
from appliance.bridges.dingtalk.text import made_inert
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import BridgeContext, Probe, ProbeState
from appliance.bridges.presenting import Part, present
from appliance.bridges.round_trip import round_trip
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryRefused, NotReady
from appliance.outbox.ports import Pace, Receipt

ROOT = "https://oapi.dingtalk.com"
GROUP = "group"
"""The one conversation that a robot has."""
SPACING = 4.0
"""Seconds between two requests: 16 in any minute, however often the box starts. The 21st would be a ban of ten."""
CAPABILITIES = Capabilities(
    text_limit=7000,  # bytes: a message is at most 20,000 bytes of JSON, in which a quote takes two
    unit=LengthUnit.BYTES,
    receives=False,
    pace=Pace(per_second=1 / SPACING, interval=SPACING, burst=1),
)
PROVED_FOR = 6 * 3600.0
"""Seconds for which an answer with the token is believed: calls of a webhook are counted by the month."""
NOTHING: JsonObject = {"msgtype": "nothing"}
"""A kind of message that there is not: token and signature are looked at, and nobody is shown anything."""


class DingTalkRobot:
    """One robot."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext, *, spacing: float = SPACING) -> None:
        config: DingTalkConfig = context.config
        assert config.access_token is not None
        self.name = context.name
        self._context = context
        given = context.secrets[config.access_token.root].strip()
        self._token = given.rpartition("access_token=")[2].partition("&")[0]
        self._secret = context.secrets[config.secret.root].strip() if config.secret else ""
        proxy = context.secrets[config.proxy.root] if config.proxy else None
        hidden = [one for one in (self._token, self._secret) if one]
        self._api = PlatformApi(TITLE, config.api_root or ROOT, proxy=proxy, secrets=hidden)
        self._turn = asyncio.Lock()
        self._spacing = spacing
        self._next = 0.0
        self._proved_until = 0.0
        self._refused = ""

    async def start(self) -> None:
        """Nothing to begin: a robot of a group does not listen."""

    async def stop(self) -> None:
        await self._api.close()

    async def probe(self) -> Probe:
        return await round_trip(self._context.clock, self._asked)

    async def _asked(self) -> Probe:
        if self._refused or time.monotonic() >= self._proved_until:
            await self._prove()
        else:
            await self._knock()
        return Probe(ProbeState.OK, "")

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return GROUP

    async def send_message(self, message: ChatMessage) -> Receipt:
        if message.conversation != GROUP:
            raise DeliveryRefused(f"this robot speaks in its one group, which is called {GROUP!r} here")
        parts = present(made_inert(message), self.capabilities)

        async def post(part: Part) -> str:
            await self._say({"msgtype": "text", "text": {"content": part.whole}, "at": {"isAtAll": False}})
            return f"{message.key}/{part.number}"  # a robot's answer names nothing

        return await Delivery(self.name, message).carry(parts, post, self._context.clock)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        return []

    async def _prove(self) -> None:
        """Token and signature, as an answer to nothing. Raises DeliveryError."""
        try:
            await self._say(NOTHING)
        except DeliveryRefused:
            pass  # there is no such kind of message: that far it came
        except NotReady as error:
            if "keyword" not in error.message:  # nothing has no keyword in it either
                raise
        self._refused, self._proved_until = "", time.monotonic() + PROVED_FOR

    async def _knock(self) -> None:
        """Whether DingTalk is there; a request without a token counts for nobody. Raises PlatformAway."""
        answer = await self._api.request("GET", "/robot/send")
        if "errcode" not in answer.fields:
            raise not_its_own()

    async def _say(self, body: JsonObject) -> None:
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            try:
                answer = await self._api.request("POST", "/robot/send", json=body, query=self._query())
            finally:
                self._next = time.monotonic() + self._spacing
        words = self._api.redact(str(answer.fields.get("errmsg") or ""))[:300]
        error = robot_refusal(answer.fields, answer.status, words)
        if error is None:
            self._refused, self._proved_until = "", time.monotonic() + PROVED_FOR
            return
        if isinstance(error, NotReady):
            self._refused = error.message
        raise error

    def _query(self) -> dict[str, str]:
        if not self._secret:
            return {"access_token": self._token}
        stamp = str(int(self._context.clock.now().timestamp() * 1000))
        return {"access_token": self._token, "timestamp": stamp, "sign": signature(self._secret, stamp)}


def signature(secret: str, stamp: str) -> str:
    """Base64 of HMAC-SHA256 with the secret over the time in milliseconds, a line's end, and the secret."""
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
