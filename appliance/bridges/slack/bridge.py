"""Slack: sends by the Web API, receives by Socket Mode or by signed HTTP. docs/how-to/slack.md has the steps."""

import asyncio
from collections.abc import Mapping

from django.utils.translation import gettext_noop

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.long_connection import LongConnection
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.slack.api import APP_REFUSED, SlackApi
from appliance.bridges.slack.blocks import LABEL_LIMIT, TEXT_LIMIT
from appliance.bridges.slack.calls import from_webhook
from appliance.bridges.slack.config import SlackConfig
from appliance.bridges.slack.events import read
from appliance.bridges.slack.guide import GUIDE
from appliance.bridges.slack.receiving import SocketMode
from appliance.bridges.slack.sending import Sending
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryError, NotReady, PlatformAway
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
        self._receiving: asyncio.Task[None] | None = None
        if config.app_token:
            token = context.secrets[config.app_token.root].strip()
            self._app = SlackApi(token, config.root, proxy, APP_REFUSED)
            self._line = SocketMode(self._app, context.inbox, config.team)
            self._connection = LongConnection(context.name, self._line, proxy)

    async def start(self) -> None:
        if self._connection and self._receiving is None:
            self._receiving = asyncio.create_task(self._connection.run())

    async def stop(self) -> None:
        task, self._receiving = self._receiving, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for api in (self._api, self._app):
            if api:
                await api.close()

    async def probe(self) -> Probe:
        started = self._context.clock.monotonic()
        try:
            me = await self._api.call("auth.test", form={}, timeout=10)
        except NotReady as error:
            return Probe(ProbeState.WAITING, error.message)
        except DeliveryError as error:
            return Probe(ProbeState.AWAY, error.message)
        spent = round((self._context.clock.monotonic() - started) * 1000, 1)
        state, message = await self._hearing()
        if self._config.team and me.get("team_id") != self._config.team:
            state, message = ProbeState.WAITING, OTHER_TEAM
        return Probe(state, message, f"@{me.get('user')} ({me.get('team')})", spent)

    async def _hearing(self) -> tuple[ProbeState, str]:
        """How it is with receiving."""
        if self._receiving and self._line and self._connection:
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
