"""Feishu / Lark: a self-built app's bot, by the long connection or by webhook."""

import logging
from collections.abc import Mapping

from django.utils.translation import gettext_noop

from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.enterprise_im.api import FeishuApi
from appliance.bridges.enterprise_im.callbacks import from_webhook
from appliance.bridges.enterprise_im.config import EnterpriseImConfig
from appliance.bridges.enterprise_im.connection import FeishuLine
from appliance.bridges.enterprise_im.events import Addressee, read_event
from appliance.bridges.enterprise_im.guide import GUIDE
from appliance.bridges.enterprise_im.sending import Sending
from appliance.bridges.long_connection import LongConnection
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.receiving import Receiving
from appliance.bridges.round_trip import round_trip
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryError, PlatformAway
from appliance.outbox.ports import Pace, Receipt

log = logging.getLogger(__name__)

CAPABILITIES = Capabilities(
    # A card's whole request has at most 30 KB, of which JSON takes some.
    text_limit=20_000,
    unit=LengthUnit.BYTES,
    buttons=20,
    label_limit=100,
    attachment_limit=30_000_000,
    edits=True,
    # By uuid, within an hour.
    keyed=True,
    # 5 a second to one chat; 50 a second and 1000 a minute in all.
    pace=Pace(per_second=15, interval=0.25, burst=5),
)
PART_PAUSE = 0.25
IN_USE = 2
OWN_ID_LIMIT = 3.0
"""Seconds that a message with a mention waits for who the bot is: it may be an order to stop."""
SWITCHED_OFF = gettext_noop("the app is not switched on in this company")


class FeishuBridge:
    """One app."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext, *, part_pause: float = PART_PAUSE) -> None:
        config: EnterpriseImConfig = context.config
        self.name = context.name
        self._context = context
        self._config = config
        self._part_pause = part_pause
        app_id = context.secrets[config.auth.app_id.root].strip()
        proxy = context.secrets[config.proxy.root] if config.proxy else None
        self._api = FeishuApi(
            config.title,
            config.root,
            app_id,
            context.secrets[config.auth.app_secret.root].strip(),
            context.clock,
            proxy,
        )
        line = FeishuLine(context.name, self._api, context.inbox, Addressee(app_id, config.tenant_key))
        self._connection = LongConnection(context.name, line, proxy)
        self._receiving = Receiving(self._connection.run)
        self._bot = ""

    async def start(self) -> None:
        """With a webhook there is nothing to begin: the web process is called."""
        if not self._config.webhook:
            self._receiving.start()

    async def stop(self) -> None:
        await self._receiving.stop()
        await self._api.close()

    async def probe(self) -> Probe:
        """Ask who the bot is."""
        return await round_trip(self._context.clock, self._found)

    async def _found(self) -> Probe:
        bot = await self._who()
        identity = str(bot.get("app_name") or "")
        if bot.get("activate_status", IN_USE) != IN_USE:
            return Probe(ProbeState.WAITING, SWITCHED_OFF, identity)
        try:
            if self._receiving.is_on:
                await self._connection.round_trip()
        except PlatformAway as error:
            return Probe(ProbeState.AWAY, error.message, identity)
        return Probe(ProbeState.OK, "", identity)

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return self._config.chat_id

    async def send_message(self, message: ChatMessage) -> Receipt:
        sending = Sending(self._api, self.name, message)
        return await sending.send(self.capabilities, self._context.clock, self._part_pause)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        found = read_event(event, self._bot or await self._own_id(event))
        return [found] if found else []

    async def _own_id(self, event: JsonObject) -> str:
        """The bot's open_id, asked for where somebody is mentioned and it is not known yet; empty while it is away."""
        content = event.get("event")
        message = content.get("message") if isinstance(content, dict) else None
        if isinstance(message, dict) and message.get("mentions"):
            try:
                await self._who(timeout=OWN_ID_LIMIT)
            except DeliveryError as error:
                log.info("%s: who the bot is cannot be asked now: %s", self.name, error.message)
        return self._bot

    async def _who(self, timeout: float = 10.0) -> JsonObject:
        answer = await self._api.call("GET", "/bot/v3/info", timeout=timeout)
        bot = answer.get("bot")
        found: JsonObject = bot if isinstance(bot, dict) else {}
        self._bot = str(found.get("open_id") or "") or self._bot
        return found


def _build(context: BridgeContext) -> Bridge:
    return FeishuBridge(context)


def _address(config: EnterpriseImConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return secrets[config.proxy.root] if config.proxy else config.root


BRIDGE = BridgeFactory(
    kind="enterprise_im",
    title="Feishu / Lark",
    config=EnterpriseImConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    webhook=from_webhook,
    address=_address,
)
