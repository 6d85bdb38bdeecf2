"""Telegram: sends by sendMessage, receives by long poll or webhook."""

import asyncio
from collections.abc import Mapping

from appliance.bridges.capabilities import Capabilities, Formatting, LengthUnit
from appliance.bridges.messages import ChatMessage, InboundMessage
from appliance.bridges.ports import Bridge, BridgeContext, BridgeFactory, Probe, ProbeState
from appliance.bridges.receiving import Receiving
from appliance.bridges.round_trip import round_trip
from appliance.bridges.telegram.api import TelegramApi, TelegramRefused
from appliance.bridges.telegram.config import TelegramConfig
from appliance.bridges.telegram.guide import GUIDE
from appliance.bridges.telegram.receiving import Receiver
from appliance.bridges.telegram.sending import Sending
from appliance.bridges.telegram.updates import from_webhook, read_update, said
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.outbox.errors import NotReady, PlatformAway
from appliance.outbox.ports import Pace, Receipt

API_ROOT = "https://api.telegram.org"
CAPABILITIES = Capabilities(
    text_limit=4096,
    unit=LengthUnit.UTF16,
    formatting=frozenset({Formatting.PLAIN, Formatting.MARKDOWN_V2}),
    buttons=20,
    attachment_limit=50_000_000,
    edits=True,
    threads=True,
    # 30 messages a second in all: 25 flow in, 5 may be saved up.
    pace=Pace(per_second=25, interval=1.0, burst=5),
)
# Groups take 20 messages a minute.
GROUP_PACE = Pace(per_second=25, interval=3.0, burst=5)
PART_PAUSE = 1.0


class TelegramBridge:
    """One bot."""

    capabilities = CAPABILITIES

    def __init__(self, context: BridgeContext, *, part_pause: float = PART_PAUSE) -> None:
        config: TelegramConfig = context.config
        self.name = context.name
        self._context = context
        self._config = config
        self._part_pause = part_pause
        self._api = TelegramApi(
            context.secrets[config.auth.root].strip(),
            _root(config, context.settings),
            context.secrets[config.proxy.root] if config.proxy else None,
        )
        self._receiver = Receiver(
            context.name,
            self._api,
            context.inbox,
            config.webhook,
            context.webhook_secret,
            context.clock,
        )
        self._receiving = Receiving(self._receiver.run)
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._receiving.start()

    async def stop(self) -> None:
        await self._receiving.stop()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await self._api.close()

    async def probe(self) -> Probe:
        return await round_trip(self._context.clock, self._who)

    async def _who(self) -> Probe:
        try:
            me = await self._api.call("getMe", timeout=10)
        except TelegramRefused as error:
            words = say("Telegram refuses the token") if error.is_token else error.description
            raise NotReady(words) if error.is_token else PlatformAway(words) from None
        username = me.get("username") if isinstance(me, dict) else None
        identity = f"@{username}" if username else ""
        state = ProbeState.AWAY if self._receiver.trouble else ProbeState.OK
        return Probe(state, self._receiver.trouble or self._receiver.note, identity)

    def pace(self, conversation: str | None) -> Pace:
        return GROUP_PACE if (conversation or "").startswith("-") else self.capabilities.pace

    def default_conversation(self) -> str | None:
        return str(self._config.chat_id) if self._config.chat_id else None

    # --- out ----------------------------------------------------------------------------------------

    async def send_message(self, message: ChatMessage) -> Receipt:
        marked = self._config.message_parser == "markdown_v2"
        sending = Sending(self._api, self.name, message, marked=marked)
        return await sending.send(self.capabilities, self._context.clock, self._part_pause)

    # --- in -----------------------------------------------------------------------------------------

    async def handle_event(self, event: JsonObject) -> list[InboundMessage]:
        update = read_update(event)
        if update is None:
            return []
        if update.callback_query:
            # Without an answer the button keeps spinning; what it means does not wait for that.
            task = asyncio.create_task(self._answer_button(update.callback_query.id))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        return said(update)

    async def _answer_button(self, query_id: str) -> None:
        try:
            await self._api.call("answerCallbackQuery", {"callback_query_id": query_id})
        except (PlatformAway, TelegramRefused):
            return  # too late or away: the button stops by itself after a while


def _root(config: TelegramConfig, settings: Mapping[str, str]) -> str:
    return config.api_root or settings.get("telegram_api") or API_ROOT


def _address(config: TelegramConfig, settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return secrets[config.proxy.root] if config.proxy else _root(config, settings)


def _build(context: BridgeContext) -> Bridge:
    return TelegramBridge(context)


BRIDGE = BridgeFactory(
    kind="telegram",
    title="Telegram",
    config=TelegramConfig,
    capabilities=CAPABILITIES,
    build=_build,
    guide=GUIDE,
    webhook=from_webhook,
    address=_address,
)
