"""Events of version 2: what the box keeps of them, and what people said or pressed."""

import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from appliance.bridges.messages import InboundMessage, RawEvent
from appliance.bridges.signing import same
from appliance.lib.jsontypes import JsonObject, JsonValue

MESSAGE, PRESSED = "im.message.receive_v1", "card.action.trigger"
DATA_KEY = "millwright"
"""Under which a button's value has its data."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom events are for. ``tenant`` and ``token`` are looked at where they are known."""

    app_id: str
    tenant: str | None = None
    token: str | None = None

    def is_meant(self, header: JsonObject) -> bool:
        if not same(str(header.get("app_id") or ""), self.app_id):
            return False
        if self.tenant and not same(str(header.get("tenant_key") or ""), self.tenant):
            return False
        return not self.token or same(str(header.get("token") or ""), self.token)


def raw_event(payload: JsonValue, addressee: Addressee) -> RawEvent | None:
    """An event on its way into the inbox; None for one of another app or company, or of another version.

    A message is named by its own identifier: the platform says that a repeat may have another ``event_id``. The
    app's verification token, which is a secret, is left out.
    """
    header = payload.get("header") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(header, dict) or payload.get("schema") != "2.0":
        return None
    if not addressee.is_meant(header):
        return None
    name = _message_id(payload) or header.get("event_id")
    if not isinstance(name, str) or not name:
        return None
    kept: JsonObject = {key: value for key, value in header.items() if key != "token"}
    return RawEvent(name, {**payload, "header": kept})


def _message_id(payload: JsonObject) -> str | None:
    event = payload.get("event")
    message = event.get("message") if isinstance(event, dict) else None
    found = message.get("message_id") if isinstance(message, dict) else None
    return found if isinstance(found, str) and found and _type_of(payload) == MESSAGE else None


def _type_of(payload: JsonObject) -> JsonValue:
    header = payload.get("header")
    return header.get("event_type") if isinstance(header, dict) else None


class _Ids(BaseModel):
    open_id: str = Field("", max_length=200)


class _Sender(BaseModel):
    sender_id: _Ids
    sender_type: str = ""


class _Mention(BaseModel):
    key: str = Field(pattern=r"^@_user_[0-9]{1,4}$")
    id: _Ids = _Ids(open_id="")
    name: str = ""


class _Message(BaseModel):
    chat_id: str = Field(min_length=1, max_length=200)
    chat_type: str = ""
    message_type: str
    content: str
    mentions: list[_Mention] = []


class _Said(BaseModel):
    sender: _Sender
    message: _Message


class _Context(BaseModel):
    open_chat_id: str = Field(min_length=1, max_length=200)


class _Action(BaseModel):
    tag: str = ""
    value: dict[str, Any]


class _Pressed(BaseModel):
    operator: _Ids
    action: _Action
    context: _Context


def read_event(payload: JsonObject, bot: str = "") -> InboundMessage | None:
    """None for an event of no interest. ``bot`` is the app's own open_id, where it is known."""
    try:
        match _type_of(payload):
            case "im.message.receive_v1":
                return _said(_Said.model_validate(payload.get("event")), bot)
            case "card.action.trigger":
                return _pressed(_Pressed.model_validate(payload.get("event")))
    except ValidationError:
        return None
    return None


def _said(event: _Said, bot: str) -> InboundMessage | None:
    message, author = event.message, event.sender.sender_id.open_id
    text = _without_mentions(_text(message), message.mentions, bot)
    if not text or not author or event.sender.sender_type != "user":
        return None
    return InboundMessage(
        conversation=message.chat_id, user_id=author, text=text, private=message.chat_type == "p2p"
    )


def _pressed(event: _Pressed) -> InboundMessage | None:
    data = event.action.value.get(DATA_KEY)
    if not isinstance(data, str) or not data or not event.operator.open_id:
        return None
    # What kind of chat it is does not stand there; as a group, nobody is greeted or paired by a press.
    return InboundMessage(
        conversation=event.context.open_chat_id,
        user_id=event.operator.open_id,
        text=data,
        private=False,
        pressed=True,
    )


def _text(message: _Message) -> str:
    """What was written; empty for pictures, files and the like."""
    try:
        content = json.loads(message.content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(content, dict):
        return ""
    if message.message_type == "text":
        return str(content.get("text") or "")
    return _post(content) if message.message_type == "post" else ""


def _post(content: dict[str, Any]) -> str:
    """The words of a rich text, line by line: what people paste often comes as one."""
    lines = [str(content.get("title") or "")]
    rows = content.get("content")
    for row in rows if isinstance(rows, list) else ():
        nodes = [node for node in row if isinstance(node, dict)] if isinstance(row, list) else []
        lines.append("".join(str(node.get("text") or node.get("user_id") or "") for node in nodes))
    return "\n".join(line for line in lines if line)


def _without_mentions(text: str, mentions: list[_Mention], bot: str) -> str:
    """The bot's own name is left out, that of others written out. Where it is not known, a first mention is its own."""
    names = {one.key: "" if bot and one.id.open_id == bot else f"@{one.name}" for one in mentions}
    first = re.match(r"\s*(@_user_[0-9]+)", text)
    if first and not bot:
        names[first[1]] = ""
    return re.sub(r"@_user_[0-9]+", lambda found: names.get(found[0], found[0]), text).strip()
