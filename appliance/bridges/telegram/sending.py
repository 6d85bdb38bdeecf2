"""A message on its way to Telegram: its texts, its buttons, its files, and editing one that is there."""

from typing import Any

from appliance.bridges.capabilities import Capabilities
from appliance.bridges.delivering import Delivery
from appliance.bridges.messages import Attachment, ChatMessage
from appliance.bridges.presenting import Part, present
from appliance.bridges.telegram.api import TelegramApi, TelegramRefused
from appliance.bridges.telegram.text import bold, escape
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.said import say
from appliance.outbox.errors import DeliveryDeferred, DeliveryError, DeliveryRefused, NotReady
from appliance.outbox.ports import Receipt

FILE_TIMEOUT = 60.0
UNCHANGED = "message is not modified"


class Sending:
    """One message. ``marked``: as MarkdownV2, every character of the text escaped."""

    def __init__(self, api: TelegramApi, name: str, message: ChatMessage, *, marked: bool) -> None:
        chat, _, thread = message.conversation.partition("/")
        self._api = api
        self._message = message
        self._marked = marked
        self._delivery = Delivery(name, message)
        self._chat_id = chat_of(chat)
        self._thread_id = int(thread) if thread.isdigit() else None

    async def send(self, capabilities: Capabilities, clock: Clock, pause: float) -> Receipt:
        """Raises DeliveryError."""
        parts = present(self._message, capabilities)
        if self._message.replaces and len(parts) == 1:
            return await self._delivery.carry(parts, self._edit, clock)
        if self._message.replaces:
            raise DeliveryRefused("too long to take another message's place")
        return await self._delivery.carry(parts, self._post, clock, pause)

    async def _post(self, part: Part) -> str:
        try:
            return await self._try(part, self._marked)
        except TelegramRefused as error:
            if error.migrate_to:
                self._delivery.notes.append(f"the group moved to {error.migrate_to}")
                self._chat_id = chat_of(error.migrate_to)
            elif self._marked and error.status == 400 and "parse entities" in error.description:
                self._delivery.notes.append("sent as plain text")
                self._marked = False
            else:
                raise translated(error) from error
        try:
            return await self._try(part, self._marked)
        except TelegramRefused as error:
            raise translated(error) from error

    async def _try(self, part: Part, marked: bool) -> str:
        if part.attachment:
            return _number(await self._file(part.attachment))
        where = {"chat_id": self._chat_id, "message_thread_id": self._thread_id}
        return _number(await self._api.call("sendMessage", {**where, **_content(part, marked)}))

    async def _file(self, attachment: Attachment) -> JsonValue:
        method, field = ("sendPhoto", "photo") if attachment.is_picture else ("sendDocument", "document")
        where = {"chat_id": str(self._chat_id)}
        if self._thread_id is not None:
            where["message_thread_id"] = str(self._thread_id)
        file = (attachment.name, attachment.content, attachment.media_type)
        return await self._api.call(method, {**where}, FILE_TIMEOUT, files={field: file})

    async def _edit(self, part: Part) -> str:
        number = self._message.replaces[-1]
        which: JsonObject = {"chat_id": self._chat_id, "message_id": int(number)}
        try:
            await self._api.call("editMessageText", {**which, **_content(part, self._marked)})
        except TelegramRefused as error:
            if UNCHANGED not in error.description:
                raise translated(error) from error
        return number


def chat_of(text: str) -> int | str:
    """A chat's number, or a channel's ``@name``."""
    return int(text) if text.lstrip("-").isdecimal() else text


def _content(part: Part, marked: bool) -> JsonObject:
    return {
        "text": _with_marks(part) if marked else part.whole,
        "parse_mode": "MarkdownV2" if marked else None,
        "link_preview_options": {"is_disabled": True},
        "reply_markup": _keyboard(part),
    }


def _with_marks(part: Part) -> str:
    return f"{bold(part.title)}\n{escape(part.text)}" if part.title else escape(part.text)


def _keyboard(part: Part) -> JsonObject | None:
    """Each button in a row of its own. Raises DeliveryRefused for data that Telegram does not take."""
    if not part.buttons:
        return None
    if any(not 1 <= len(button.data.encode()) <= 64 for button in part.buttons):
        raise DeliveryRefused("a button's data has between 1 and 64 bytes")
    rows: list[Any] = [[{"text": button.label, "callback_data": button.data}] for button in part.buttons]
    return {"inline_keyboard": rows}


def _number(result: JsonValue) -> str:
    return str(result.get("message_id") if isinstance(result, dict) else None)


def translated(error: TelegramRefused) -> DeliveryError:
    if error.status == 429:
        return DeliveryDeferred(error.description, retry_after=error.retry_after or 5)
    if error.is_token:
        return NotReady(say("Telegram refuses the token"), hint=say("enter it again on the platform page"))
    return DeliveryRefused(say("Telegram says: %(said)s", said=error.description))
