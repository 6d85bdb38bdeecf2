"""Telegram's updates, as far as this bridge understands them."""

import hmac
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from appliance.bridges.messages import InboundMessage, RawEvent
from appliance.bridges.ports import WebhookAnswer, WebhookRefused, WebhookRequest
from appliance.lib.jsontypes import JsonObject

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the header's name
ALLOWED: list[Any] = ["message", "callback_query"]


class User(BaseModel):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""

    @property
    def shown(self) -> str:
        name = f"{self.first_name} {self.last_name}".strip()
        return f"{name} (@{self.username})" if self.username else name


class Chat(BaseModel):
    id: int
    type: str = "private"


class Message(BaseModel):
    message_id: int
    chat: Chat
    author: User | None = Field(None, alias="from")
    text: str | None = None
    caption: str | None = None
    message_thread_id: int | None = None
    is_topic_message: bool = False
    forward_origin: dict[str, Any] | None = None

    @property
    def conversation(self) -> str:
        topic = self.message_thread_id if self.is_topic_message else None
        return f"{self.chat.id}/{topic}" if topic else str(self.chat.id)


class CallbackQuery(BaseModel):
    id: str
    author: User = Field(alias="from")
    message: Message | None = None
    data: str = ""


class Update(BaseModel):
    update_id: int
    message: Message | None = None
    callback_query: CallbackQuery | None = None


def read_update(payload: JsonObject) -> Update | None:
    """None for what is not an update, or not one that can be understood."""
    try:
        return Update.model_validate(payload)
    except ValidationError:
        return None


def said(update: Update) -> list[InboundMessage]:
    """What a person wrote, or the data of the button that they pressed. Bots are not listened to."""
    query = update.callback_query
    message = query.message if query else update.message
    author = query.author if query else (message.author if message else None)
    if message is None or author is None or author.is_bot:
        return []
    text = query.data if query else (message.text or message.caption)
    if not text:
        return []
    return [
        InboundMessage(
            conversation=message.conversation,
            user_id=str(author.id),
            user_name=author.shown,
            text=text,
            private=message.chat.type == "private",
            pressed=query is not None,
            forwarded=message.forward_origin is not None,
        )
    ]


def raw_events(updates: Sequence[Any]) -> list[RawEvent]:
    """Updates on their way into the inbox, named by their number."""
    return [
        RawEvent(str(update["update_id"]), update)
        for update in updates
        if isinstance(update, dict) and isinstance(update.get("update_id"), int)
    ]


def from_webhook(request: WebhookRequest) -> WebhookAnswer:
    """The update in a webhook request. Raises WebhookRefused."""
    given = request.headers.get(SECRET_HEADER, "")
    if not hmac.compare_digest(given.encode(), request.secret.encode()):
        raise WebhookRefused(403)
    try:
        update = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise WebhookRefused(400) from error
    events = raw_events([update])
    if not events:
        raise WebhookRefused(400)
    return WebhookAnswer(events)
