"""What comes over an app's long connection: what people wrote to the robot, and the buttons that they pressed.

Shapes: open.dingtalk.com/document/orgapp/receive-message and …/event-callback-card.
"""

import json
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from appliance.bridges.messages import InboundMessage, RawEvent
from appliance.lib.jsontypes import JsonObject

BOT_TOPIC = "/v1.0/im/bot/messages/get"
CARD_TOPIC = "/v1.0/card/instances/callback"


class Headers(BaseModel):
    topic: str = ""
    message_id: str = Field("", alias="messageId")
    event_id: str = Field("", alias="eventId")


class Frame(BaseModel):
    """``data`` is JSON in a string."""

    type: str
    headers: Headers
    data: str = ""


class Text(BaseModel):
    content: str = ""


class RichText(BaseModel):
    pieces: list[dict[str, Any]] = Field(default=[], alias="richText")


class BotMessage(BaseModel):
    """``sender_staff_id`` is the person's user id, and missing for people of other organisations."""

    conversation_id: str = Field(alias="conversationId")
    conversation_type: str = Field(alias="conversationType")
    sender_id: str = Field(alias="senderId")
    sender_staff_id: str = Field("", alias="senderStaffId")
    sender_nick: str = Field("", alias="senderNick")
    sender_corp_id: str = Field("", alias="senderCorpId")
    chatbot_corp_id: str = Field("", alias="chatbotCorpId")
    chatbot_user_id: str = Field("", alias="chatbotUserId")
    kind: str = Field(alias="msgtype")
    text: Text = Text()
    content: RichText = RichText.model_validate({})

    @property
    def said(self) -> str:
        """Pictures, files and voices say nothing."""
        if self.kind == "text":
            return self.text.content.strip()
        if self.kind == "richText":
            return "".join(str(piece.get("text") or "") for piece in self.content.pieces).strip()
        return ""

    @property
    def user_id(self) -> str:
        """A user id is only unique within its organisation: that of another one must never pass for ours."""
        foreign = self.sender_corp_id and self.chatbot_corp_id and self.sender_corp_id != self.chatbot_corp_id
        return self.sender_id if foreign or not self.sender_staff_id else self.sender_staff_id


class CardCallback(BaseModel):
    """``content`` is JSON in a string again."""

    user_id: str = Field(alias="userId", min_length=1)
    user_id_type: int = Field(1, alias="userIdType")
    corp_id: str = Field("", alias="corpId")
    space_type: str = Field("", alias="spaceType")
    space_id: str = Field("", alias="spaceId")
    content: str

    @property
    def pressed(self) -> str:
        try:
            found = json.loads(self.content)["cardPrivateData"]["params"]["data"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""
        return found if isinstance(found, str) else ""


def raw_event(frame: Frame) -> RawEvent | None:
    """An event on its way into the inbox; None for what cannot be named or is not JSON.

    The address by which one could answer for an hour stays outside: it is a credential.
    """
    try:
        data = json.loads(frame.data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    data.pop("sessionWebhook", None)
    own = data.get("msgId") if frame.headers.topic == BOT_TOPIC else frame.headers.event_id
    name = own if isinstance(own, str) and own else frame.headers.message_id
    if not name:
        return None
    return RawEvent(name, {"type": frame.type, "topic": frame.headers.topic, "data": data})


def read(payload: JsonObject, corp_id: str | None = None) -> list[InboundMessage]:
    """What a person said by an event of the inbox; an empty list for what is of no interest."""
    topic, data = payload.get("topic"), payload.get("data")
    try:
        if topic == BOT_TOPIC:
            return _written(BotMessage.model_validate(data))
        if topic == CARD_TOPIC:
            return _pressed(CardCallback.model_validate(data), corp_id)
    except ValidationError:
        pass
    return []


def _written(message: BotMessage) -> list[InboundMessage]:
    if not message.said or message.sender_id == message.chatbot_user_id:
        return []
    private = message.conversation_type == "1"
    return [
        InboundMessage(
            conversation=message.user_id if private else message.conversation_id,
            user_id=message.user_id,
            user_name=message.sender_nick,
            text=message.said,
            private=private,
        )
    ]


def _pressed(callback: CardCallback, corp_id: str | None) -> list[InboundMessage]:
    if not callback.pressed or callback.user_id_type != 1:
        return []
    if corp_id and callback.corp_id and callback.corp_id != corp_id:
        return []
    group = callback.space_type.upper() == "IM_GROUP"
    return [
        InboundMessage(
            conversation=callback.space_id if group and callback.space_id else callback.user_id,
            user_id=callback.user_id,
            text=callback.pressed,
            private=not group,
            pressed=True,
        )
    ]
