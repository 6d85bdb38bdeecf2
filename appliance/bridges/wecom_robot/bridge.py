"""A robot of a WeCom group: it speaks to one group, and hears nothing.

The protocol: developer.work.weixin.qq.com/document/path/99110.
"""

import base64
import contextlib
import hashlib
from collections.abc import Mapping

from django.utils.translation import gettext_noop

from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.delivering import Delivery
from appliance.bridges.messages import Attachment, ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.presenting import Part, present
from appliance.bridges.round_trip import round_trip
from appliance.bridges.wecom.api import API_ROOT, WecomHttp
from appliance.bridges.wecom.refusals import WecomRefused
from appliance.bridges.wecom.sending import made_inert, shown_as_picture
from appliance.bridges.wecom_robot.config import WecomRobotConfig
from appliance.bridges.wecom_robot.guide import GUIDE
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Pace, Receipt

# 20 messages a minute.
PAUSE = 3.0
CAPABILITIES = Capabilities(
    text_limit=2048,
    unit=LengthUnit.BYTES,
    attachment_limit=20_000_000,
    receives=False,
    pace=Pace(interval=PAUSE),
)
PICTURE_LIMIT = 2_000_000
GROUP = "group"
"""The only place where a robot speaks."""
ONLY_SENDS = gettext_noop("a robot only sends")


class WecomRobot:
    """One robot. WeCom gives its messages no names, so receipts count them."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext, *, part_pause: float = PAUSE) -> None:
        config: WecomRobotConfig = context.config
        self.name = context.name
        self._context = context
        self._part_pause = part_pause
        self._key = context.secrets[config.auth.root].strip()
        self._http = WecomHttp(
            config.api_root or API_ROOT,
            proxy=context.secrets[config.proxy.root] if config.proxy else None,
            secrets=(self._key,),
        )

    async def start(self) -> None:
        """Nothing to begin: a robot hears nothing."""

    async def stop(self) -> None:
        await self._http.close()

    async def probe(self) -> Probe:
        """A message of no kind: a robot that is there refuses the message, one that is not is refused itself."""
        return await round_trip(self._context.clock, self._knock)

    async def _knock(self) -> Probe:
        with contextlib.suppress(WecomRefused):
            await self._post({"msgtype": ""})
        return Probe(ProbeState.OK, ONLY_SENDS)

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return GROUP

    async def send_message(self, message: ChatMessage) -> Receipt:
        parts = present(made_inert(message), self.capabilities)

        async def post(part: Part) -> str:
            await self._post(await self._content(part))
            return str(part.number + 1)

        delivery = Delivery(self.name, message)
        return await delivery.carry(parts, post, self._context.clock, self._part_pause)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        return []

    async def _content(self, part: Part) -> JsonObject:
        if part.attachment is None:
            return {"msgtype": "text", "text": {"content": part.whole}}
        if shown_as_picture(part.attachment, PICTURE_LIMIT):
            return {"msgtype": "image", "image": _picture(part.attachment)}
        query = {"key": self._key, "type": "file"}
        media_id = await self._http.upload("webhook/upload_media", query, part.attachment)
        return {"msgtype": "file", "file": {"media_id": media_id}}

    async def _post(self, told: JsonObject) -> None:
        await self._http.ask("POST", "webhook/send", {"key": self._key}, json=told)


def _picture(attachment: Attachment) -> JsonObject:
    return {
        "base64": base64.b64encode(attachment.content).decode(),
        "md5": hashlib.md5(attachment.content, usedforsecurity=False).hexdigest(),
    }


def _address(config: WecomRobotConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return secrets[config.proxy.root] if config.proxy else config.api_root or API_ROOT


def _build(context: BridgeContext) -> Bridge:
    return WecomRobot(context)


BRIDGE = BridgeFactory(
    kind="wecom_robot",
    title="WeCom group robot",
    config=WecomRobotConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    address=_address,
)
