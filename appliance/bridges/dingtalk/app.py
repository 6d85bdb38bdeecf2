"""An app of an organisation: its robot talks by the OpenAPI and listens on a long connection."""

from dataclasses import replace

from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.delivering import Delivery
from appliance.bridges.dingtalk.api import ROOT, OpenApi
from appliance.bridges.dingtalk.config import DingTalkConfig
from appliance.bridges.dingtalk.errors import SILENT
from appliance.bridges.dingtalk.events import read
from appliance.bridges.dingtalk.receiving import StreamLine
from appliance.bridges.dingtalk.sending import LABEL_LIMIT, MOST_BUTTONS, Sending, is_group
from appliance.bridges.dingtalk.text import made_inert
from appliance.bridges.long_connection import LongConnection
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import BridgeContext, Probe, ProbeState
from appliance.bridges.presenting import present
from appliance.bridges.receiving import Receiving
from appliance.bridges.round_trip import round_trip
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Pace, Receipt

TEXT_LIMIT = 7000
"""Bytes: a message's parameters are at most 15,000 bytes of JSON, in which a line's end or a quote takes two."""
CAPABILITIES = Capabilities(
    text_limit=TEXT_LIMIT,
    unit=LengthUnit.BYTES,
    label_limit=LABEL_LIMIT,
    # An app may call one API 20 times a second; the rest is left to other programs of the same app.
    pace=Pace(per_second=5, interval=1.0, burst=5),
)
# A group takes 20 messages of one robot in a minute.
GROUP_PACE = Pace(per_second=5, interval=4.0, burst=5)


class DingTalkApp:
    """One app. Without a card template it has no buttons, and its texts say the same in words."""

    def __init__(
        self, context: BridgeContext, *, part_pause: float | None = None, first_pause: float = 1.0
    ) -> None:
        config: DingTalkConfig = context.config
        assert config.client_id is not None
        assert config.client_secret is not None
        self.name = context.name
        self.capabilities = replace(CAPABILITIES, buttons=MOST_BUTTONS if config.card_template else 0)
        self._context = context
        self._config = config
        self._part_pause = part_pause
        self._id = config.client_id
        proxy = context.secrets[config.proxy.root] if config.proxy else None
        secret = context.secrets[config.client_secret.root].strip()
        self._api = OpenApi(self._id, secret, config.api_root or ROOT, proxy)
        self._line = StreamLine(self._api, context.inbox)
        self._connection = LongConnection(
            context.name, self._line, proxy, first_pause=first_pause, silent=SILENT
        )
        self._receiving = Receiving(self._connection.run)

    async def start(self) -> None:
        self._receiving.start()

    async def stop(self) -> None:
        await self._receiving.stop()
        await self._api.close()

    async def probe(self) -> Probe:
        """Over the long connection where it lives: an organisation's API calls are counted by the month."""
        return await round_trip(self._context.clock, self._asked, self._id)

    async def _asked(self) -> Probe:
        if not self._receiving.is_on or self._api.refused:
            await self._api.log_in()
        if self._receiving.is_on:
            await self._connection.round_trip()
        return Probe(ProbeState.OK, "", self._id)

    def pace(self, conversation: str | None) -> Pace:
        return GROUP_PACE if is_group(conversation or "") else self.capabilities.pace

    def default_conversation(self) -> str | None:
        return self._config.conversation

    async def send_message(self, message: ChatMessage) -> Receipt:
        to = message.conversation
        sending = Sending(self._api, self._config.robot_code or self._id, self._config.card_template, to)
        pause = self.pace(to).interval if self._part_pause is None else self._part_pause
        parts = present(made_inert(message), self.capabilities)
        return await Delivery(self.name, message).carry(parts, sending.post, self._context.clock, pause)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        return read(event, self._config.corp_id)
