"""WeCom (WeChat Work): an app of the company's own that writes to members, and hears them where it can be called."""

from collections.abc import Mapping
from dataclasses import replace

from django.utils.translation import gettext_noop

from appliance.bridges.capabilities import Capabilities, LengthUnit
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.round_trip import round_trip
from appliance.bridges.wecom.api import API_ROOT, WecomApi
from appliance.bridges.wecom.config import WecomConfig
from appliance.bridges.wecom.crypto import Seal
from appliance.bridges.wecom.guide import GUIDE
from appliance.bridges.wecom.receiving import from_webhook, message_of, read_said
from appliance.bridges.wecom.refusals import text_in
from appliance.bridges.wecom.sending import Presses, Sending
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import Pace, Receipt

CAPABILITIES = Capabilities(
    text_limit=2048,
    unit=LengthUnit.BYTES,
    buttons=6,
    # Ten Chinese characters are advised; a letter takes half the room of one.
    label_limit=20,
    attachment_limit=20_000_000,
    edits=True,
    # 30 a minute and 1000 an hour to one member. What goes beyond is dropped, and nobody is told.
    pace=Pace(interval=3.6),
)
PART_PAUSE = 2.0
SWITCHED_OFF = gettext_noop("the app is switched off in WeCom")


class WecomBridge:
    """One app."""

    def __init__(self, context: BridgeContext, *, part_pause: float = PART_PAUSE) -> None:
        config: WecomConfig = context.config
        self.name = context.name
        self.capabilities = replace(CAPABILITIES, receives=config.webhook is not None)
        self._context = context
        self._config = config
        self._part_pause = part_pause
        self._presses = Presses()
        if config.webhook:
            Seal.of(config, context.secrets)  # a key that cannot be one is told now, not at the first call
        self._api = WecomApi(
            config.api_root or API_ROOT,
            config.corp_id,
            config.agent_id,
            context.secrets[config.auth.root].strip(),
            context.clock,
            context.secrets[config.proxy.root] if config.proxy else None,
        )

    async def start(self) -> None:
        """Nothing to begin: the web process is called."""

    async def stop(self) -> None:
        await self._api.close()

    async def probe(self) -> Probe:
        return await round_trip(self._context.clock, self._app)

    async def _app(self) -> Probe:
        app = await self._api.app()
        if app.get("close") == 1:
            return Probe(ProbeState.WAITING, SWITCHED_OFF, text_in(app, "name"))
        return Probe(ProbeState.OK, "", text_in(app, "name"))

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return self._config.conversation

    async def send_message(self, message: ChatMessage) -> Receipt:
        sending = Sending(self._api, self.name, message, self._presses)
        return await sending.send(self.capabilities, self._context.clock, self._part_pause)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        said = read_said(event)
        if said is None:
            return []
        if said.is_press:
            self._presses.note(said.task_id, said.response_code)
        return [message_of(said)]


def _address(config: WecomConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return secrets[config.proxy.root] if config.proxy else config.api_root or API_ROOT


def _build(context: BridgeContext) -> Bridge:
    return WecomBridge(context)


BRIDGE = BridgeFactory(
    kind="wecom",
    title="WeCom",
    config=WecomConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    webhook=from_webhook,
    address=_address,
)
