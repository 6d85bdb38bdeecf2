"""Slack: sends by the Web API, receives by Socket Mode or by signed HTTP. docs/how-to/slack.md has the steps."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.long_connection import LongConnection
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.receiving import Receiving
from appliance.bridges.round_trip import round_trip
from appliance.bridges.slack.api import APP_REFUSED, SlackApi
from appliance.bridges.slack.blocks import LABEL_LIMIT, TEXT_LIMIT
from appliance.bridges.slack.calls import from_webhook
from appliance.bridges.slack.config import SlackConfig
from appliance.bridges.slack.events import read
from appliance.bridges.slack.guide import GUIDE
from appliance.bridges.slack.receiving import SocketMode
from appliance.bridges.slack.sending import Sending
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import PlatformAway
from appliance.outbox.ports import Pace, Receipt

CAPABILITIES = Capabilities(
    text_limit=TEXT_LIMIT,
    buttons=25,
    label_limit=LABEL_LIMIT,
    attachment_limit=50_000_000,
    edits=True,
    threads=True,
    # One message a second in each channel, "several hundred" a minute in all.
    pace=Pace(per_second=4, interval=1.0, burst=4),
)
PART_PAUSE = 1.0
ONLY_SPEAKS = gettext_noop("nobody can write here: there is neither app_token nor webhook")
OTHER_TEAM = gettext_noop("the bot token belongs to another Slack workspace than the configured one")


class SlackBridge:
    """One app in one workspace."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext, *, part_pause: float = PART_PAUSE) -> None:
        config: SlackConfig = context.config
        self.name = context.name
        self._context = context
        self._config = config
        self._part_pause = part_pause
        proxy = context.secrets[config.proxy.root] if config.proxy else None
        self._api = SlackApi(context.secrets[config.auth.root].strip(), config.root, proxy)
        self._app: SlackApi | None = None
        self._line: SocketMode | None = None
        self._connection: LongConnection | None = None
        self._receiving: Receiving | None = None
        if config.app_token:
            token = context.secrets[config.app_token.root].strip()
            self._app = SlackApi(token, config.root, proxy, APP_REFUSED)
            self._line = SocketMode(self._app, context.inbox, config.team)
            self._connection = LongConnection(context.name, self._line, proxy)
            self._receiving = Receiving(self._connection.run)

    async def start(self) -> None:
        if self._receiving:
            self._receiving.start()

    async def stop(self) -> None:
        if self._receiving:
            await self._receiving.stop()
        for api in (self._api, self._app):
            if api:
                await api.close()

    async def probe(self) -> Probe:
        return await round_trip(self._context.clock, self._who)

    async def _who(self) -> Probe:
        me = await self._api.call("auth.test", form={}, timeout=10)
        state, message = await self._hearing()
        if self._config.team and me.get("team_id") != self._config.team:
            state, message = ProbeState.WAITING, OTHER_TEAM
        return Probe(state, message, f"@{me.get('user')} ({me.get('team')})")

    async def _hearing(self) -> tuple[ProbeState, str]:
        """How it is with receiving."""
        if self._receiving and self._receiving.is_on and self._line and self._connection:
            try:
                await self._connection.round_trip()
            except PlatformAway as error:
                state = ProbeState.WAITING if self._line.needs_a_person else ProbeState.AWAY
                return state, error.message
        hears = self._connection or self._config.webhook
        return ProbeState.OK, "" if hears else ONLY_SPEAKS

    def pace(self, conversation: str | None) -> Pace:
        return self.capabilities.pace

    def default_conversation(self) -> str | None:
        return self._config.channel

    async def send_message(self, message: ChatMessage) -> Receipt:
        sending = Sending(self._api, self.name, message)
        return await sending.send(self.capabilities, self._context.clock, self._part_pause)

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        """A press needs no answer: the acknowledgement is one."""
        found = read(event)
        return found.said() if found else []


def _address(config: SlackConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return secrets[config.proxy.root] if config.proxy else config.root


def _build(context: BridgeContext) -> Bridge:
    return SlackBridge(context)


BRIDGE = BridgeFactory(
    kind="slack",
    title="Slack",
    config=SlackConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    webhook=from_webhook,
    address=_address,
)
