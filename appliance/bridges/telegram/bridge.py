"""Telegram: sends by sendMessage, receives by long poll or webhook."""

import asyncio
from collections.abc import Mapping
from typing import Any

from appliance.bridges.ports import (
    Bridge,
    BridgeContext,
    BridgeFactory,
    Capabilities,
    ChatMessage,
    Formatting,
    InboundMessage,
    LengthUnit,
    Probe,
    ProbeState,
)
from appliance.bridges.telegram.api import TelegramApi, TelegramAway, TelegramRefused
from appliance.bridges.telegram.config import TelegramConfig
from appliance.bridges.telegram.receiving import Receiver
from appliance.bridges.telegram.text import bold, escape
from appliance.bridges.telegram.updates import from_webhook, read_update, said
from appliance.bridges.text import split
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady, PlatformAway
from appliance.outbox.ports import Pace, Receipt

API_ROOT = "https://api.telegram.org"
CAPABILITIES = Capabilities(
    text_limit=4096,
    unit=LengthUnit.UTF16,
    formatting=frozenset({Formatting.PLAIN, Formatting.MARKDOWN_V2}),
    buttons=True,
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
            context.name, self._api, context.inbox, config.webhook, context.webhook_secret
        )
        self._receiving: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        if self._receiving is None:
            self._receiving = asyncio.create_task(self._receiver.run())

    async def stop(self) -> None:
        tasks = [task for task in (self._receiving, *self._answering) if task]
        self._receiving = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._api.close()

    async def probe(self) -> Probe:
        started = self._context.clock.monotonic()
        try:
            me = await self._api.call("getMe", timeout=10)
        except TelegramRefused as error:
            words = "Telegram refuses the token" if error.is_token else error.description
            return Probe(ProbeState.WAITING if error.is_token else ProbeState.AWAY, words)
        except TelegramAway as error:
            return Probe(ProbeState.AWAY, str(error))
        spent = round((self._context.clock.monotonic() - started) * 1000, 1)
        username = me.get("username") if isinstance(me, dict) else None
        identity = f"@{username}" if username else ""
        state = ProbeState.AWAY if self._receiver.trouble else ProbeState.OK
        return Probe(state, self._receiver.trouble or self._receiver.note, identity, spent)

    def pace(self, conversation: str | None) -> Pace:
        return GROUP_PACE if (conversation or "").startswith("-") else self.capabilities.pace

    def default_conversation(self) -> str | None:
        return str(self._config.chat_id) if self._config.chat_id else None

    # --- out ----------------------------------------------------------------------------------------

    async def send_message(self, message: ChatMessage) -> Receipt:
        heading = f"{message.title}\n" if message.title else ""
        parts = split(heading + message.text, self.capabilities.text_limit, self.capabilities.unit)
        if not parts or not message.text.strip():
            raise DeliveryRefused("the message is empty")
        sending = _Sending(message)
        for index, part in enumerate(parts):
            if index < message.parts_done:
                continue
            if sending.message_ids:
                await asyncio.sleep(self._part_pause)
            buttons = _keyboard(message) if index == len(parts) - 1 else None
            try:
                await self._send_part(sending, part, message.title if index == 0 else "", buttons)
            except (TelegramAway, TelegramRefused) as error:
                raise _translated(error, index) from error
        return Receipt(
            self.name,
            sending.conversation,
            tuple(sending.message_ids),
            self._context.clock.now(),
            note="; ".join(sending.notes),
        )

    async def _send_part(
        self, sending: "_Sending", part: str, title: str, buttons: JsonObject | None
    ) -> None:
        marked = self._config.message_parser == "markdown_v2"
        try:
            await self._post(sending, _marked(part, title) if marked else part, marked, buttons)
        except TelegramRefused as error:
            if error.migrate_to:
                sending.notes.append(f"the group moved to {error.migrate_to}")
                sending.chat_id = _chat(error.migrate_to)
                await self._post(sending, _marked(part, title) if marked else part, marked, buttons)
            elif marked and error.status == 400 and "parse entities" in error.description:
                sending.notes.append("sent as plain text")
                await self._post(sending, part, False, buttons)
            else:
                raise

    async def _post(self, sending: "_Sending", text: str, marked: bool, buttons: JsonObject | None) -> None:
        result = await self._api.call(
            "sendMessage",
            {
                "chat_id": sending.chat_id,
                "message_thread_id": sending.thread_id,
                "text": text,
                "parse_mode": "MarkdownV2" if marked else None,
                "link_preview_options": {"is_disabled": True},
                "reply_markup": buttons,
            },
        )
        number = result.get("message_id") if isinstance(result, dict) else None
        sending.message_ids.append(str(number))

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
        except (TelegramAway, TelegramRefused):
            return  # too late or away: the button stops by itself after a while


class _Sending:
    """What is known of a message while its parts go out."""

    def __init__(self, message: ChatMessage) -> None:
        chat, _, thread = message.conversation.partition("/")
        self.conversation = message.conversation
        self.chat_id = _chat(chat)
        self.thread_id = int(thread) if thread.isdigit() else None
        self.message_ids: list[str] = []
        self.notes = ["a possible repeat"] if message.repeat_possible else []


def _chat(text: str) -> int | str:
    """A chat's number, or a channel's ``@name``."""
    return int(text) if text.lstrip("-").isdecimal() else text


def _marked(part: str, title: str) -> str:
    if title and part.startswith(title):
        return bold(title) + escape(part[len(title) :])
    return escape(part)


def _keyboard(message: ChatMessage) -> JsonObject | None:
    """Each button in a row of its own. Raises DeliveryRefused for data that Telegram does not take."""
    if not message.buttons:
        return None
    if any(not 1 <= len(button.data.encode()) <= 64 for button in message.buttons):
        raise DeliveryRefused("a button's data has between 1 and 64 bytes")
    rows: list[Any] = [[{"text": button.label, "callback_data": button.data}] for button in message.buttons]
    return {"inline_keyboard": rows}


def _translated(error: TelegramAway | TelegramRefused, parts_done: int) -> DeliveryError:
    if isinstance(error, TelegramAway):
        return PlatformAway(str(error), maybe_sent=error.maybe_sent, parts_done=parts_done)
    if error.status == 429:
        return DeliveryDeferred(error.description, retry_after=error.retry_after or 5, parts_done=parts_done)
    if error.is_token:
        return NotReady(
            "Telegram refuses the token", hint="enter it again on the platform page", parts_done=parts_done
        )
    return DeliveryRefused(f"Telegram says: {error.description}", parts_done=parts_done)


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
    webhook=from_webhook,
    address=_address,
)
